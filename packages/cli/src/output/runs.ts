import type { RunListRow } from "@stackctl/protocol";
import { clip, count, duration, moment, oneLine, pad, paint, table, width } from "./text.ts";

/** The last runs, a line each, newest first. Pure. */
export function renderRuns(runs: readonly RunListRow[], nowMs: number): string {
  if (runs.length === 0) return "There was no run yet. Begin with: stackctl apply aio";
  const lines = table([
    ["run", "began", "scope", "outcome", "took", "changed", "same", "skip", "fail"],
    ...runs.map((run) => [
      String(run.id),
      moment(run.startedAt, nowMs),
      clip(scopeText(run.scope), 16),
      outcomeText(run),
      duration(run.seconds ?? (nowMs - Date.parse(run.startedAt)) / 1000),
      ...[run.totals.changed, run.totals.unchanged, run.totals.skipped, run.totals.failed].map((n) =>
        n === 0 ? "-" : String(n),
      ),
    ]),
  ]);
  // The cause gets what is left of the line; all of it is in --json.
  const used = (lines[0] ?? "").length + 2;
  return lines
    .map((line, index) => pad(line, used) + clip(oneLine(runs[index - 1]?.cause.text ?? ""), width - used))
    .map((line) => line.trimEnd())
    .join("\n");
}

function outcomeText({ outcome }: RunListRow): string {
  if (outcome === null) return paint("yellow", "under way");
  return outcome === "failed" ? paint("red", "FAILED") : outcome;
}

function scopeText(scope: RunListRow["scope"]): string {
  if (typeof scope === "string") return scope;
  return scope.length === 1 ? (scope[0] ?? "") : count(scope.length, "host");
}
