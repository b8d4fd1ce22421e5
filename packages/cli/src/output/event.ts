import type { EventView } from "@stackctl/protocol";
import { clock } from "./text.ts";

/** One line of history: when, where, what, and why. Pure. */
export function renderEvent({ at, host, resource, type, text }: EventView): string {
  return [
    clock(at),
    (host ?? "-").padEnd(12),
    type.padEnd(18),
    ...(resource === null ? [] : [resource]),
    text,
  ].join(" ");
}
