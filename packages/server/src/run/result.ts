import type { ApplyResult, Outcome } from "@stackctl/protocol";
import type { RunRow, StepRow } from "../store/store.ts";

/** The worst outcome of several: failed, then changed, then skipped, then unchanged. */
export function worst(outcomes: readonly Outcome[]): Outcome {
  const order: readonly Outcome[] = ["failed", "changed", "skipped"];
  return order.find((outcome) => outcomes.includes(outcome)) ?? "unchanged";
}

/** What a run came to, from its steps: the object that `apply --json` prints. */
export function applyResultOf(run: RunRow, steps: readonly StepRow[]): ApplyResult {
  const totals = { unchanged: 0, changed: 0, skipped: 0, failed: 0 };
  const hosts = run.hosts.map((name) => {
    const own = steps.filter((step) => step.host === name);
    for (const step of own) {
      // A step without resources still counts once: a host that is away had some, we just never asked.
      if (step.resources.length === 0) totals[step.outcome] += 1;
      for (const { outcome } of step.resources) {
        // What is kept was not touched.
        if (outcome !== "planned") totals[outcome === "kept" ? "unchanged" : outcome] += 1;
      }
    }
    const why =
      own.find((step) => step.outcome === "failed")?.why ??
      own.find((step) => step.outcome === "skipped")?.why;
    return {
      name,
      outcome: worst(own.map((step) => step.outcome)),
      ...(why === null || why === undefined ? {} : { why }),
      services: own.map((step) => ({
        name: step.service,
        outcome: step.outcome,
        ...(step.why === null ? {} : { why: step.why }),
        resources: step.resources.map(({ id, outcome, why: reason }) => ({
          id,
          outcome,
          ...(reason === undefined ? {} : { why: reason }),
        })),
      })),
    };
  });
  const outcome = totals.failed > 0 ? "failed" : totals.changed > 0 ? "changed" : "unchanged";
  return { runId: run.id, outcome, seconds: run.seconds ?? 0, totals, hosts };
}
