import type { HoldView } from "@stackctl/protocol";
import { moment, oneLine } from "./text.ts";

/** One hold, as `status` shows it: `held: mariadb, "checking a disk", until 16:00:00 (root)`. Pure. */
export function holdLine({ target, why, until, by }: HoldView, nowMs: number): string {
  return `held: ${target}, "${oneLine(why)}", until ${moment(until, nowMs)} (${by})`;
}

/** What became of `hold`. Pure. */
export function renderHold(hold: HoldView, untold: readonly string[], nowMs: number): string {
  return [
    holdLine(hold, nowMs),
    ...untoldLine(untold),
    `Neither runs nor repairs touch it until then; drift is still reported. End it with: stackctl release ${hold.target}`,
  ].join("\n");
}

/** What became of `release`. Pure. */
export function renderRelease({ target }: HoldView, untold: readonly string[]): string {
  return [
    `${target} is held no more: drift is put back, and what a run left out is done now.`,
    ...untoldLine(untold),
  ].join("\n");
}

function untoldLine(untold: readonly string[]): string[] {
  return untold.length === 0
    ? []
    : [`Not told yet: ${untold.join(", ")}; the server goes on trying until the agent is there.`];
}
