/** One figure that we hold ourselves to. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What has to be reached: at most this, or, of a ratio between a peer and us, at least this. */
  readonly reach: { readonly atMost: number } | { readonly atLeast: number };
}

/** True when it is reached. */
export function isReached({ value, reach }: Figure): boolean {
  return "atMost" in reach ? value <= reach.atMost : value >= reach.atLeast;
}

/** A table in Markdown, which reads as well on a screen; all columns but the first to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows;
  const widths = head.map((_, column) => Math.max(3, ...rows.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]): string =>
    `| ${widths.map((width, column) => pad(row[column] ?? "", width, column)).join(" | ")} |`;
  const rule = widths.map((width, column) =>
    column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
  );
  return [line(head), `| ${rule.join(" | ")} |`, ...body.map(line)].join("\n");
}

/** The figures with what they should be, one a row. */
export function figuresTable(figures: readonly Figure[]): string {
  return table([
    ["figure", "measured", "to reach", ""],
    ...figures.map((figure) => {
      const { name, value, unit, reach } = figure;
      const wanted =
        "atMost" in reach ? `at most ${String(reach.atMost)}` : `at least ${String(reach.atLeast)}`;
      return [
        name,
        `${number(value)} ${unit}`,
        `${wanted} ${unit}`,
        isReached(figure) ? "reached" : "MISSED",
      ];
    }),
  ]);
}

/** Three digits that count. */
export function number(value: number): string {
  if (Number.isNaN(value)) return "-";
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function pad(text: string, width: number, column: number): string {
  return column === 0 ? text.padEnd(width) : text.padStart(width);
}
