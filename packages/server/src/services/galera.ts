import type { CompileContext, Waits } from "./service.ts";

/** Where the cluster of the databases begins, or which one it is. */
export type Founding =
  { readonly kind: "found" } | { readonly kind: "member"; readonly uuid: string } | Waits;

/**
 * Whether the cluster may be founded on the primary. Once it was, never again, whatever anybody lost. Before that only
 * when no controller holds data, as each that is enrolled has said: one that was never enrolled has nothing of ours, and
 * refuses to join with data of another cluster when it comes. Pure.
 */
export function foundingOf({
  cloud,
  primary,
  galera,
}: Pick<CompileContext, "cloud" | "primary" | "galera">): Founding {
  if (galera.uuid !== null) return { kind: "member", uuid: galera.uuid };
  for (const { name, role } of cloud.hosts) {
    const found = galera.looks.get(name);
    if (role !== "controller" || found === undefined) continue;
    if (found === null) return { waits: `${name} has not said what its data directory holds` };
    // What the primary itself holds its agent judges: it knows what this cloud has made.
    if (name === primary) continue;
    if (found.uuid !== null)
      return {
        waits: `${name} holds data of cluster ${found.uuid}, so none is founded; clear it, or restore that cluster`,
      };
    if (found.holds === "other")
      return { waits: `${name} holds a database of no cluster, so none is founded; save and clear it` };
  }
  return { kind: "found" };
}
