import { stripVTControlCharacters, styleText } from "node:util";

/** Lines are at most this long where it can be helped. */
export const width = 100;

/** A colour on a terminal, plain text elsewhere and with `NO_COLOR`. */
export function paint(
  colour: "red" | "green" | "yellow" | "blue" | "magenta" | "cyan" | "dim" | "bold",
  text: string,
  stream: NodeJS.WriteStream = process.stdout,
): string {
  return styleText(colour, text, { stream });
}

/** Whether lines can be redrawn on standard output: on a terminal of a known size; some say that they have no rows. */
export function canRedraw(): boolean {
  return process.stdout.isTTY && process.stdout.rows > 0;
}

/** Local time with seconds, such as `14:02:11`. */
export function clock(at: string | number): string {
  return new Date(at).toLocaleTimeString("en-GB");
}

/** Local time of day, with the date before it unless it was today: `14:02:11` or `2026-01-02T14:02:11`. One word. */
export function moment(at: string | number, nowMs: number): string {
  const then = new Date(at);
  // Sweden writes dates the way ISO 8601 does, in local time.
  const day = (date: Date): string => date.toLocaleDateString("sv-SE");
  return day(then) === day(new Date(nowMs)) ? clock(at) : `${day(then)}T${clock(at)}`;
}

/** A duration such as `0.4 s`, `3 s`, `12 s`, `1 m 12 s` or `2 h 3 m`. */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1).replace(".0", "")} s`;
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

/** Rows in columns as wide as their widest cell, colours not counted; the last column is not padded. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => visible(row[column] ?? "").length)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : pad(cell, widths[column] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}

/** The text with blanks after it up to so many columns, colours not counted. */
export function pad(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - visible(text).length));
}

/** At most so many columns of a text without colours; what is cut off is marked by `...`. */
export function clip(text: string, columns: number): string {
  return text.length <= columns ? text : `${text.slice(0, Math.max(0, columns - 3))}...`;
}

/** The text as one line: a record of a pipe never spans two. */
export function oneLine(text: string): string {
  return text.trim().replace(/([,;:]?)\s*\n\s*/g, (_, mark: string) => (mark === "" ? "; " : `${mark} `));
}

/**
 * The same data without characters that move a terminal's cursor, colour or title: what a host says is shown on the
 * operator's terminal, and a host may be hostile. Line feeds and tabs stay.
 */
export function harmless<T>(data: T): T {
  if (typeof data === "string") return data.replace(controls, "?") as T;
  if (Array.isArray(data)) return data.map((each: unknown) => harmless(each)) as T;
  if (data === null || typeof data !== "object") return data;
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [harmless(key), harmless(value as unknown)]),
  ) as T;
}

/** What a program wrote for a terminal, as text: its colours taken out, every other control character made harmless. */
export function plain(text: string): string {
  return harmless(stripVTControlCharacters(text)).trimEnd();
}

/** C0 but tab and line feed, DEL, C1, and what turns the direction of writing round (Unicode TR9). */
// eslint-disable-next-line no-control-regex -- they are what it is about
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

function visible(text: string): string {
  return stripVTControlCharacters(text);
}
