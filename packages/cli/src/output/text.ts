import { styleText } from "node:util";

/** Lines are at most this long where it can be helped. */
export const width = 100;

/** A colour on a terminal, plain text elsewhere and with `NO_COLOR`. */
export function paint(
  colour: "red" | "green" | "yellow" | "dim" | "bold",
  text: string,
  stream: NodeJS.WriteStream = process.stdout,
): string {
  return styleText(colour, text, { stream });
}

/** Local time with seconds, such as `14:02:11`. */
export function clock(at: string | number): string {
  return new Date(at).toLocaleTimeString("en-GB");
}

/** A duration such as `0.4 s`, `12 s`, `1 m 12 s` or `2 h 3 m`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${String(whole)} s`;
  if (whole < 3600) return `${String(Math.floor(whole / 60))} m ${String(whole % 60)} s`;
  if (whole < 172_800)
    return `${String(Math.floor(whole / 3600))} h ${String(Math.floor((whole % 3600) / 60))} m`;
  return `${String(Math.floor(whole / 86_400))} d`;
}

/** A thing counted, such as `1 host` or `5 hosts`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${String(n)} ${n === 1 ? one : many}`;
}

/** Rows in columns as wide as their widest cell; the last column is not padded. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}
