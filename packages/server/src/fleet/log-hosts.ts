import { agentLogs, loggingServices, logSources, StackctlError, type Resource } from "@stackctl/protocol";

/** A host that has an agent, and the documents that were issued for it. */
export interface LogHostDocuments {
  readonly host: string;
  readonly documents: readonly { readonly service: string; readonly resources: readonly Resource[] }[];
}

/**
 * The hosts whose log of a service is read. Pure.
 * @param enrolled hosts that have an agent
 * @param named all hosts that there are
 * @param host null: all that have it
 * @throws StackctlError `host_unknown`, `service_unknown` with what there is, `agent_unreachable` for a host without an agent
 */
export function logHosts(
  service: string,
  host: string | null,
  enrolled: readonly LogHostDocuments[],
  named: readonly string[],
): string[] {
  if (host !== null && !named.includes(host)) {
    throw new StackctlError("host_unknown", `there is no host ${host}`, {
      details: { expected: `one of ${named.join(", ")}`, found: host, remedy: "stackctl status" },
    });
  }
  const having = enrolled.filter(({ documents }) => logSources(service, documents).length > 0);
  if (having.length === 0) {
    const words = [...new Set(enrolled.flatMap(({ documents }) => loggingServices(documents))), agentLogs];
    const isSilent = enrolled.some(({ documents }) => documents.some((each) => each.service === service));
    const message = isSilent ? `${service} writes no log of its own` : `no host has a service ${service}`;
    throw new StackctlError("service_unknown", message, {
      details: {
        expected: `one of ${words.join(", ")}`,
        found: service,
        remedy: `stackctl logs ${words[0] ?? agentLogs}`,
      },
    });
  }
  const hosts = having.map((each) => each.host);
  if (host === null) return hosts;
  if (hosts.includes(host)) return [host];
  if (!enrolled.some((each) => each.host === host)) {
    throw new StackctlError("agent_unreachable", `${host} is not set up yet`, {
      details: { host, remedy: `stackctl apply ${host}` },
    });
  }
  throw new StackctlError("service_unknown", `${host} has no ${service}`, {
    details: { host, expected: `one of ${hosts.join(", ")}`, remedy: `stackctl logs ${service}` },
  });
}
