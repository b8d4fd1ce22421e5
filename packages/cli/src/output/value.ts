import type { ShownValue } from "@stackctl/protocol";
import { paint, width } from "./text.ts";

/** A row of a picture: what it is, its value, and where that is from. */
export interface ValueRow {
  readonly name: string;
  readonly value: ShownValue;
  readonly origins: readonly string[];
}

/**
 * Rows with their values and origins in columns; a value that is too long for its line, or has several, follows in lines
 * of its own. Nothing is cut off. What nobody asked for is dim. Pure.
 */
export function valueLines(rows: readonly ValueRow[], indent: string): string[] {
  const names = Math.max(0, ...rows.map(({ name }) => name.length));
  const cells = rows.map(({ name, value, origins }) => {
    const shown = text(value);
    const from = `(${originText(origins)})`;
    const room = width - indent.length - names - 4 - from.length;
    return { name, shown, from, room, fits: !shown.includes("\n") && shown.length <= room };
  });
  const fitting = cells.filter(({ fits }) => fits);
  // As wide as the longest value, unless that would push an origin out of the line.
  const values = Math.min(
    Math.max(0, ...fitting.map(({ shown }) => shown.length)),
    ...fitting.map(({ room }) => room),
  );
  return cells.flatMap(({ name, shown, from, fits }) => {
    const head = `${indent}${name.padEnd(names)}  `;
    const lines = fits
      ? [`${head}${shown.padEnd(values)}  ${from}`]
      : [
          `${head}${from}`,
          ...wrapped(shown, width - indent.length - 4).map((each) => `${indent}  | ${each}`.trimEnd()),
        ];
    return from === "(default)" ? lines.map((each) => paint("dim", each)) : lines;
  });
}

/** Lines of one file in a short form: `cloud.yaml:17, 20-22`. Pure. */
export function originText(origins: readonly string[]): string {
  const numbers = new Map<string, number[]>();
  for (const origin of origins) {
    const [, file, line] = /^(.+):(\d+)$/.exec(origin) ?? [];
    if (file !== undefined) numbers.set(file, [...(numbers.get(file) ?? []), Number(line)]);
  }
  return [
    ...[...numbers].map(([file, lines]) => `${file}:${ranges(lines)}`),
    ...origins.filter((origin) => !/:\d+$/.test(origin)),
  ].join(", ");
}

function ranges(lines: readonly number[]): string {
  const parts: { from: number; to: number }[] = [];
  for (const line of [...new Set(lines)].sort((a, b) => a - b)) {
    const last = parts.at(-1);
    if (last?.to === line - 1) last.to = line;
    else parts.push({ from: line, to: line });
  }
  return parts
    .map(({ from, to }) => (from === to ? String(from) : `${String(from)}-${String(to)}`))
    .join(", ");
}

function text(value: ShownValue): string {
  if (value === null || (Array.isArray(value) && value.length === 0)) return "none";
  if (value === "") return '""';
  return Array.isArray(value) ? value.join(", ") : String(value);
}

/** The lines of a text; one that is too long is broken at a blank. */
function wrapped(shown: string, columns: number): string[] {
  return shown
    .replace(/\n$/, "")
    .split("\n")
    .flatMap((line) => {
      const lines: string[] = [];
      let rest = line;
      while (rest.length > columns) {
        const blank = rest.lastIndexOf(" ", columns);
        const end = blank > 0 ? blank : columns;
        lines.push(rest.slice(0, end));
        rest = rest.slice(blank > 0 ? end + 1 : end);
      }
      return [...lines, rest];
    });
}
