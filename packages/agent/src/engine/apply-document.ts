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
  const { applied, kept = [] } = ledger;
  if (ledger.seq !== seq || ledger.outcome !== null) keep({ ...emptyLedger, applied, kept, seq });

  // Only in memory until the next resource is changed, or the document ends: half of the writes, and what a kill takes
  // of it is read again; the intent that is still on the disk then tells that it was changed.
  const settle = (outcome: ResourceOutcome, change: Partial<Ledger> = {}): void => {
    const done = [...ledger.done.filter(({ id }) => id !== outcome.id), outcome];
    ledger = { ...ledger, ...change, intent: null, done };
  };
  const waiting = (): Ledger => {
    keep({});
    return ledger;
  };
  let failed: string | null = null;
  const isWell = (): boolean => failed === null;
  const { going, owners } = leaving(behaviours, state, document);
  /** @returns false when it waits for a permit */
  const takeAway = async (resource: Resource): Promise<boolean> => {
    const id = resourceId(resource);
    const bound = bind(behaviours, resource);
    const without = (list: readonly Resource[] = []): Resource[] =>
      list.filter((each) => resourceId(each) !== id);
    const heir = heirOf(bound.owns(), owners);
    if (heir !== null) {
      settle(
        { id, outcome: "unchanged", why: heir, changes: [], restarts: [] },
        { applied: without(ledger.applied) },
      );
      return true;
    }
    const cluster = bound.disrupts("removal");
    if (cluster !== null && !permits.leave(cluster, service, id)) return false;
    try {
      const stays = await bound.keeps(context);
      await bound.remove(context, new Set(owners.keys()));
      permits.done(service, id);
      settle(
        {
          id,
          outcome: stays === null ? "changed" : "kept",
          why: stays === null ? "removed" : `kept: ${stays}`,
          changes: [],
          restarts: [],
        },
        {
          applied: without(ledger.applied),
          kept: [...without(ledger.kept), ...(stays === null ? [] : [resource])],
        },
      );
    } catch (error) {
      failed = id;
      const why = `not removed: ${errorData(error).message}`.slice(0, 2000);
      settle({ id, outcome: "failed", why, changes: [], restarts: [] });
    }
    return true;
  };
  // What listens where a successor is to listen cannot stay until that is there.
  for (const resource of going.filter((each) => holdsPort(bind(behaviours, each).owns(), owners)))
    if (isWell() && !(await takeAway(resource))) return waiting();
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
      if (waitsFor !== null) return waiting();
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
  // In reverse order of their making, and only once what comes in their place is there.
  for (const resource of going) {
    const isGone = !ledger.applied.some((each) => resourceId(each) === resourceId(resource));
    if (failed === null && !isGone && !(await takeAway(resource))) return waiting();
  }
  const present = new Set(resources.flatMap((resource) => bind(behaviours, resource).owns()));
  const isBack = (resource: Resource): boolean =>
    bind(behaviours, resource)
      .owns()
      .some((what) => present.has(what));
  ledger = { ...ledger, kept: (ledger.kept ?? []).filter((each) => !isBack(each)) };
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
  const { going, owners } = leaving(behaviours, state, document);
  for (const resource of going) {
    const id = resourceId(resource);
    const bound = bind(behaviours, resource);
    const heir = heirOf(bound.owns(), owners);
    try {
      const stays = heir === null ? await bound.keeps(context) : null;
      outcomes.push({
        id,
        outcome: heir === null ? "planned" : "unchanged",
        why: heir ?? (stays === null ? "removed" : `removed, kept: ${stays}`),
        changes: [],
        restarts: [],
      });
    } catch (error) {
      const why = errorData(error).message.slice(0, 2000);
      outcomes.push({ id, outcome: "failed", why, changes: [], restarts: [] });
    }
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

/** What a service has here still though it left the cloud, such as `directory/registry-data: /var/lib/stackctl/registry`. */
export async function keptOf(
  behaviours: Behaviours,
  { kept = [] }: Pick<Ledger, "kept">,
  context: Context,
): Promise<string[]> {
  const lines: string[] = [];
  for (const resource of kept) {
    const stays = await bind(behaviours, resource).keeps(context);
    if (stays !== null) lines.push(`${resourceId(resource)}: ${stays}`);
  }
  return lines;
}

/**
 * What a document takes away, last made first, and who owns what on this host beside that: its own resources, and all
 * that other services have here.
 */
function leaving(
  behaviours: Behaviours,
  state: AgentState,
  { service, resources }: Pick<DocumentBody, "service" | "resources">,
): { readonly going: readonly Resource[]; readonly owners: ReadonlyMap<string, string> } {
  const wanted = new Set(resources.map(resourceId));
  const going = state
    .ledger(service)
    .applied.filter((resource) => !wanted.has(resourceId(resource)))
    .toReversed();
  if (going.length === 0) return { going, owners: new Map() };
  const others = state.services().filter((name) => name !== service);
  const present = [...others.flatMap((name) => state.ledger(name).applied), ...resources];
  const owners = present.flatMap((resource) =>
    bind(behaviours, resource)
      .owns()
      .map((what) => [what, resourceId(resource)] as const),
  );
  return { going, owners: new Map(owners) };
}

/** Who goes on with all that a resource owns, in words: then there is nothing to take away. Null: nobody does. */
function heirOf(owns: readonly string[], owners: ReadonlyMap<string, string>): string | null {
  if (owns.length === 0 || !owns.every((what) => owners.has(what))) return null;
  return `goes on as ${[...new Set(owns.map((what) => owners.get(what) ?? ""))].join(", ")}`;
}

function holdsPort(owns: readonly string[], owners: ReadonlyMap<string, string>): boolean {
  return owns.some((what) => what.startsWith("port:") && owners.has(what)) && heirOf(owns, owners) === null;
}

function withResource(applied: Ledger["applied"], resource: Ledger["applied"][number]): Ledger["applied"] {
  const id = resourceId(resource);
  const index = applied.findIndex((each) => resourceId(each) === id);
  return index === -1 ? [...applied, resource] : applied.with(index, resource);
}
