import { agentUnit } from "./paths.ts";
import { containerUnit } from "./resources/container.ts";
import type { Resource } from "./resources/index.ts";

/** Where one part of a service's log lines comes from; found in a host's journal by fields that no other can set. */
export type LogSource =
  | { readonly kind: "container"; readonly name: string; readonly unit: string }
  | {
      readonly kind: "unit";
      readonly name: string;
      readonly unit: string;
      /** Only lines of this program of the unit; null: all. */
      readonly program: string | null;
    };

/** As which the agent's own lines are asked for; no service has this name. */
export const agentLogs = "agent";

/** A document, as far as its log lines matter. */
interface Logging {
  readonly service: string;
  readonly resources: readonly Resource[];
}

/**
 * What a word names on a host that holds these documents: a service with all that writes for it, one of its containers
 * or units, or the agent. The closed list of what may be read: nothing else of a host's journal is. Empty: nothing. Pure.
 */
export function logSources(word: string, documents: readonly Logging[]): readonly LogSource[] {
  if (word === agentLogs) return [{ kind: "unit", name: agentLogs, unit: agentUnit, program: null }];
  const all = documents.flatMap(({ service, resources }) =>
    resources.flatMap(sourcesOf).map((source) => ({ service, source })),
  );
  const own = all.filter(({ service }) => service === word);
  const named = own.length > 0 ? own : all.filter(({ source }) => source.name === word);
  return named.map(({ source }) => source);
}

/** The services of a host that holds these documents that write anything. Pure. */
export function loggingServices(documents: readonly Logging[]): readonly string[] {
  return documents
    .filter(({ resources }) => resources.some((resource) => sourcesOf(resource).length > 0))
    .map(({ service }) => service);
}

function sourcesOf({ type, name }: Resource): LogSource[] {
  // Debian's names of the units.
  // Those that do one thing and end have no unit, and nothing is found of one.
  if (["container", "container-job", "keystone-bootstrap"].includes(type))
    return [{ kind: "container", name, unit: containerUnit(name) }];
  if (type === "chrony") return [{ kind: "unit", name: "chrony", unit: "chrony.service", program: null }];
  if (type !== "docker-engine") return [];
  return [
    // dockerd hands on what containers say under its own unit: only what it says itself is meant.
    { kind: "unit", name: "docker", unit: "docker.service", program: "dockerd" },
    { kind: "unit", name: "containerd", unit: "containerd.service", program: "containerd" },
  ];
}
