import type { LogEntry, LogHost } from "@stackctl/protocol";
import { count, moment, paint, plain } from "./text.ts";

/** Red and yellow mean something already. */
const colours = ["cyan", "magenta", "green", "blue"] as const;

/**
 * One entry of a log: when, where, who said it, and what; of several lines each has all of that before it, so that each is
 * a record. Pure but for the colour, which is one host's in all its lines.
 * @param hosts all that are read, for the width and the colours
 */
export function renderLogEntry(
  { at, host, from, text }: LogEntry,
  hosts: readonly string[],
  nowMs: number,
): string {
  const width = Math.max(...hosts.map((each) => each.length), host.length);
  const colour = colours[Math.max(0, hosts.indexOf(host)) % colours.length] ?? "cyan";
  const before = `${moment(at, nowMs)} ${paint(colour, plain(host).padEnd(width))} ${plain(from)}:`;
  return text
    .split(/\r?\n|\r/)
    .filter((line, index, all) => line !== "" || all.length === 1 || index < all.length - 1)
    .map((line) => `${before} ${plain(line)}`.trimEnd())
    .join("\n");
}

/** What has become of the hosts since it was said last: who is not shown, who is again, what was left out. Pure. */
export function logRemarks(before: readonly LogHost[], now: readonly LogHost[]): string[] {
  return now.flatMap(({ host, problem, dropped }) => {
    const last = before.find((each) => each.host === host);
    const more = dropped - (last?.dropped ?? 0);
    return [
      ...(problem !== null && problem !== last?.problem
        ? [`${host} ${problem}: its lines are not shown`]
        : []),
      ...(problem === null && last !== undefined && last.problem !== null ? [`${host} is shown again`] : []),
      ...(more > 0 ? [`${count(more, "line")} of ${host} left out: more came than can be sent`] : []),
    ];
  });
}
