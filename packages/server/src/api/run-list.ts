import type { RunListRow } from "@stackctl/protocol";
import { applyResultOf } from "../run/result.ts";
import type { Store } from "../store/store.ts";

/** The last runs, newest first, each with what it came to so far. */
export function runList(store: Store, limit: number): RunListRow[] {
  return store.lastRuns(limit).map((run) => {
    const { outcome, totals } = applyResultOf(run, store.steps(run.id));
    const done = run.endedAt !== null;
    return {
      id: run.id,
      startedAt: run.startedAt,
      scope: run.scope,
      cause: run.cause,
      state: done ? "done" : "running",
      outcome: done ? outcome : null,
      seconds: done ? run.seconds : null,
      totals,
    };
  });
}
