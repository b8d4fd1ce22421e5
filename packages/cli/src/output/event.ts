import type { EventView } from "@stackctl/protocol";
import { moment, oneLine } from "./text.ts";

/** One line of history: when, where, what, and why. Pure. */
export function renderEvent({ at, host, resource, type, text }: EventView, nowMs: number): string {
  return [
    moment(at, nowMs),
    (host ?? "-").padEnd(12),
    type.padEnd(18),
    ...(resource === null ? [] : [resource]),
    oneLine(text),
  ].join(" ");
}

/** What changed one thing, newest first. Pure. */
export function renderWhy(name: string, events: readonly EventView[], nowMs: number): string {
  if (events.length === 0) return `${name} was never changed.`;
  return events
    .map(
      ({ at, type, text }) =>
        `${moment(at, nowMs)}  ${type.replace("resource.", "").padEnd(10)} ${oneLine(text)}`,
    )
    .join("\n");
}
