import {
  StackctlError,
  type Change,
  type MemberHealth,
  type Resource,
  type ResourceType,
  type SpecOf,
} from "@stackctl/protocol";
import { diffFields, type Behaviour, type Context } from "./resource.ts";
import { sparing } from "./sparing.ts";

/** Behaviours by type. */
export type Behaviours = { readonly [T in ResourceType]: Behaviour<T> };

/** A resource with the behaviour of its type, the spec already given to it. */
interface Bound {
  readonly read: (context: Context) => ReturnType<Behaviour<ResourceType>["read"]>;
  readonly desired: (context: Context) => ReturnType<Behaviour<ResourceType>["desired"]>;
  readonly apply: (context: Context, changes: readonly Change[]) => Promise<void>;
  readonly remove: (context: Context, spared?: ReadonlySet<string>) => Promise<void>;
  readonly owns: () => readonly string[];
  readonly keeps: (context: Context) => Promise<string | null>;
  readonly restarts: (changes: readonly Change[]) => readonly string[];
  readonly disrupts: (changes: readonly Change[] | "removal") => string | null;
  readonly watch: () => ReturnType<Behaviour<ResourceType>["watch"]>;
  /** Undefined: its type gives nothing. */
  readonly outputs: (context: Context) => Promise<Record<string, string> | undefined>;
  /** Null: it stands for no member of a cluster. */
  readonly health: (context: Context) => Promise<MemberHealth> | null;
}

/** Gives a resource's spec to its behaviour. */
export function bind(behaviours: Behaviours, resource: Resource): Bound {
  // The union of specs was parsed strictly by type, so that the spec of a type meets the behaviour of that type.
  const behaviour = behaviours[resource.type] as unknown as Behaviour<ResourceType>;
  const spec = resource.spec as SpecOf<ResourceType>;
  const { name } = resource;
  return {
    read: (context) => behaviour.read(context, spec, name),
    desired: (context) => behaviour.desired(spec, context, name),
    apply: (context, changes) => behaviour.apply(context, spec, changes, name),
    remove: (context, spared = new Set()) =>
      behaviour.remove({ ...context, host: sparing(context.host, spared) }, spec, name, spared),
    owns: () => behaviour.owns(spec, name),
    keeps: async (context) => (await behaviour.keeps?.(context, spec)) ?? null,
    restarts: (changes) => behaviour.restarts(spec, changes, name),
    disrupts: (changes) => behaviour.disrupts(spec, changes),
    watch: () => behaviour.watch(spec, name),
    outputs: async (context) => {
      const given = await behaviour.outputs?.(context, spec);
      return given === undefined ? undefined : { ...given };
    },
    health: (context) => behaviour.health?.(context, spec) ?? null,
  };
}

/** What differs now. Changes nothing. */
export async function difference(
  behaviours: Behaviours,
  resource: Resource,
  context: Context,
): Promise<Change[]> {
  const bound = bind(behaviours, resource);
  return diffFields(bound.desired(context), await bound.read(context)).map(shorten);
}

/** What {@link converge} came to. */
export interface Converged {
  /** What was changed, or would be when it waits; empty: nothing differed. */
  readonly changes: readonly Change[];
  /** The cluster whose permit was not there, so that nothing was done; null: it is true now. */
  readonly waitsFor: string | null;
}

/**
 * Makes one resource true and proves it by reading again.
 * @param leave asked before what takes a member of a cluster down; false: nothing is done now
 * @param before called with what differs, before anything is changed
 * @throws StackctlError `not_converged` when it still differs afterwards
 */
export async function converge(
  behaviours: Behaviours,
  resource: Resource,
  context: Context,
  leave: (cluster: string) => boolean,
  before: (changes: readonly Change[]) => void,
): Promise<Converged> {
  const bound = bind(behaviours, resource);
  const changes = await difference(behaviours, resource, context);
  if (changes.length === 0) return { changes, waitsFor: null };
  const cluster = bound.disrupts(changes);
  if (cluster !== null && !leave(cluster)) return { changes, waitsFor: cluster };
  before(changes);
  await bound.apply(context, changes);
  const remaining = await difference(behaviours, resource, context);
  if (remaining.length > 0) {
    throw new StackctlError(
      "not_converged",
      `still differs after it was applied: ${remaining.map(({ field }) => field).join(", ")}`,
      {
        retryable: true,
      },
    );
  }
  return { changes, waitsFor: null };
}

/** Events and plans carry at most this much of a value; the comparison was made on all of it. */
const longest = 6000;

function shorten(change: Change): Change {
  const cut = (value: Change["from"]): Change["from"] =>
    typeof value === "string" && value.length > longest ? `${value.slice(0, longest)}...` : value;
  return { field: change.field, from: cut(change.from), to: cut(change.to) };
}
