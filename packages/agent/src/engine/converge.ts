import {
  StackctlError,
  type Change,
  type Resource,
  type ResourceType,
  type SpecOf,
} from "@stackctl/protocol";
import { diffFields, type Behaviour, type Context } from "./resource.ts";

/** Behaviours by type. */
export type Behaviours = { readonly [T in ResourceType]: Behaviour<T> };

/** A resource with the behaviour of its type, the spec already given to it. */
interface Bound {
  readonly read: (context: Context) => ReturnType<Behaviour<ResourceType>["read"]>;
  readonly desired: (context: Context) => ReturnType<Behaviour<ResourceType>["desired"]>;
  readonly apply: (context: Context, changes: readonly Change[]) => Promise<void>;
  readonly remove: (context: Context) => Promise<void>;
  readonly restarts: (changes: readonly Change[]) => readonly string[];
  readonly watch: () => ReturnType<Behaviour<ResourceType>["watch"]>;
  /** Undefined: its type gives nothing. */
  readonly outputs: (context: Context) => Promise<Record<string, string> | undefined>;
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
    remove: (context) => behaviour.remove(context, spec, name),
    restarts: (changes) => behaviour.restarts(spec, changes, name),
    watch: () => behaviour.watch(spec, name),
    outputs: async (context) => {
      const given = await behaviour.outputs?.(context, spec);
      return given === undefined ? undefined : { ...given };
    },
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

/**
 * Makes one resource true and proves it by reading again.
 * @param before called with what differs, before anything is changed
 * @returns what was changed; empty: nothing differed
 * @throws StackctlError `not_converged` when it still differs afterwards
 */
export async function converge(
  behaviours: Behaviours,
  resource: Resource,
  context: Context,
  before: (changes: readonly Change[]) => void,
): Promise<readonly Change[]> {
  const changes = await difference(behaviours, resource, context);
  if (changes.length === 0) return changes;
  before(changes);
  await bind(behaviours, resource).apply(context, changes);
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
  return changes;
}

/** Events and plans carry at most this much of a value; the comparison was made on all of it. */
const longest = 6000;

function shorten(change: Change): Change {
  const cut = (value: Change["from"]): Change["from"] =>
    typeof value === "string" && value.length > longest ? `${value.slice(0, longest)}...` : value;
  return { field: change.field, from: cut(change.from), to: cut(change.to) };
}
