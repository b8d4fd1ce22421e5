import {
  errorData,
  resourceId,
  type DocumentBody,
  type Resource,
  type ResourceOutcome,
} from "@stackctl/protocol";
import { bind, converge, difference, type Behaviours } from "./converge.ts";
import type { Permits } from "./permits.ts";
import type { Context } from "./resource.ts";
import { emptyLedger, type AgentState, type Ledger } from "./state.ts";

/** What has to be asked before a member of a cluster is taken down. */
export type Leave = Pick<Permits, "leave" | "done">;

/**
 * Makes a document true, from wherever a kill left it. What was never made on this host is made without asking: it is no
 * member yet.
 * @returns the ledger at its end; its outcome is kept by the caller once the result is queued, so that a kill between
 *   the two reports twice rather than never. Outcome null: it waits for a permit, and goes on there when called again
 */
export async function applyDocument(
  behaviours: Behaviours,
  state: AgentState,
  document: Pick<DocumentBody, "service" | "resources">,
  seq: number,
  context: Context,
  permits: Leave,
): Promise<Ledger> {
  const { service, resources } = document;
  let ledger = state.ledger(service);
  const keep = (change: Partial<Ledger>): void => {
    ledger = { ...ledger, ...change };
    state.keepLedger(service, ledger);
  };
  // A failed document is tried again from the start; one that was interrupted goes on where it was.
  if (ledger.seq !== seq || ledger.outcome !== null) keep({ ...emptyLedger, applied: ledger.applied, seq });

  // Only in memory until the next resource is changed, or the document ends: half of the writes, and what a kill takes
  // of it is read again; the intent that is still on the disk then tells that it was changed.
  const settle = (outcome: ResourceOutcome, change: Partial<Ledger> = {}): void => {
    const done = [...ledger.done.filter(({ id }) => id !== outcome.id), outcome];
    ledger = { ...ledger, ...change, intent: null, done };
  };
  let failed: string | null = null;
  for (const resource of resources) {
    const id = resourceId(resource);
    const before = ledger.done.find((each) => each.id === id);
    if (before !== undefined) {
      if (before.outcome === "failed") failed ??= id;
      continue;
    }
    if (failed !== null) {
      settle({ id, outcome: "skipped", why: `${failed} failed`, changes: [], restarts: [] });
      continue;
    }
    const intended = ledger.intent?.id === id ? ledger.intent : null;
    const isFirst = intended?.isFirst ?? !ledger.applied.some((each) => resourceId(each) === id);
    const leave = (cluster: string): boolean => isFirst || permits.leave(cluster, service, id);
    try {
      const { changes, waitsFor } = await converge(behaviours, resource, context, leave, (differing) => {
        const restarts = bind(behaviours, resource).restarts(differing);
        // What was begun before a kill is named by what differed then.
        keep({
          intent: intended ?? { id, changes: differing, restarts, isFirst },
          applied: withResource(ledger.applied, resource),
        });
      });
      if (waitsFor !== null) {
        keep({});
        return ledger;
      }
      permits.done(service, id);
      const begun = ledger.intent?.id === id ? ledger.intent : null;
      const changed = begun !== null || changes.length > 0;
      const outputs = await bind(behaviours, resource).outputs(context);
      settle(
        {
          id,
          ...(outputs === undefined ? {} : { outputs }),
          outcome: changed ? "changed" : "unchanged",
          changes: [...(begun?.changes ?? changes)],
          restarts: [...(begun?.restarts ?? [])],
        },
        { applied: withResource(ledger.applied, resource) },
      );
    } catch (error) {
      failed = id;
      const { message, details, code } = errorData(error);
      const why = `${code === "bug" ? (message.split("\n")[0] ?? message) : message}${details.remedy === undefined ? "" : `; ${details.remedy}`}`;
      settle({ id, outcome: "failed", why: why.slice(0, 2000), changes: [], restarts: [] });
    }
  }
  if (failed === null) {
    const wanted = new Set(resources.map(resourceId));
    for (const resource of ledger.applied.toReversed()) {
      const id = resourceId(resource);
      if (wanted.has(id)) continue;
      const cluster = bind(behaviours, resource).disrupts("removal");
      if (cluster !== null && !permits.leave(cluster, service, id)) {
        keep({});
        return ledger;
      }
      try {
        await bind(behaviours, resource).remove(context);
        permits.done(service, id);
        settle(
          { id, outcome: "changed", why: "removed", changes: [], restarts: [] },
          { applied: ledger.applied.filter((each) => resourceId(each) !== id) },
        );
      } catch (error) {
        failed = id;
        settle({
          id,
          outcome: "failed",
          why: `not removed: ${errorData(error).message}`.slice(0, 2000),
          changes: [],
          restarts: [],
        });
      }
    }
  }
  // What failed is tried from the start the next time, also by who does not keep this end.
  if (failed !== null) state.keepLedger(service, { ...ledger, done: [] });
  const outcome =
    failed !== null
      ? "failed"
      : ledger.done.some((each) => each.outcome === "changed")
        ? "changed"
        : "unchanged";
  return { ...ledger, outcome };
}

/** What a document would change. Changes nothing, and writes nothing anywhere. */
export async function planDocument(
  behaviours: Behaviours,
  state: AgentState,
  document: Pick<DocumentBody, "service" | "resources">,
  context: Context,
): Promise<ResourceOutcome[]> {
  // All at once: what they ask of the same tool goes there as one question.
  const outcomes = await Promise.all(
    document.resources.map((resource) => planResource(behaviours, resource, context)),
  );
  const wanted = new Set(document.resources.map(resourceId));
  for (const resource of state.ledger(document.service).applied) {
    const id = resourceId(resource);
    if (!wanted.has(id)) outcomes.push({ id, outcome: "planned", why: "removed", changes: [], restarts: [] });
  }
  return outcomes;
}

async function planResource(
  behaviours: Behaviours,
  resource: Resource,
  context: Context,
): Promise<ResourceOutcome> {
  const id = resourceId(resource);
  try {
    const changes = await difference(behaviours, resource, context);
    const restarts = changes.length === 0 ? [] : [...bind(behaviours, resource).restarts(changes)];
    const outputs = changes.length === 0 ? await bind(behaviours, resource).outputs(context) : undefined;
    return {
      id,
      outcome: changes.length === 0 ? "unchanged" : "planned",
      changes,
      restarts,
      ...(outputs === undefined ? {} : { outputs }),
    };
  } catch (error) {
    const why = errorData(error).message.slice(0, 2000);
    return { id, outcome: "failed", why, changes: [], restarts: [] };
  }
}

function withResource(applied: Ledger["applied"], resource: Ledger["applied"][number]): Ledger["applied"] {
  const id = resourceId(resource);
  const index = applied.findIndex((each) => resourceId(each) === id);
  return index === -1 ? [...applied, resource] : applied.with(index, resource);
}
