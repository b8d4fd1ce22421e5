import { StackctlError } from "@stackctl/protocol";
import type { Cloud } from "../config/model.ts";
import type { Store } from "../store/store.ts";

/**
 * What a word means: a host, a service everywhere (host null), or `service@host`. A name that is both means the host.
 * @param services names of all services that there are
 * @throws StackctlError `host_unknown`, `service_unknown`
 */
export function targetFrom(
  word: string,
  cloud: Cloud,
  store: Store,
  services: readonly string[],
): { readonly host: string | null; readonly service: string | null } {
  const hosts = [
    ...new Set([...cloud.hosts.map(({ name }) => name), ...store.agents().map(({ host }) => host)]),
  ];
  const at = word.lastIndexOf("@");
  if (at === -1) {
    if (hosts.includes(word)) return { host: word, service: null };
    if (services.includes(word)) return { host: null, service: word };
    throw unknown("host_unknown", `${word} is neither a host nor a service`, [...hosts, ...services], word);
  }
  const service = word.slice(0, at);
  const host = word.slice(at + 1);
  if (!hosts.includes(host)) throw unknown("host_unknown", `there is no host ${host}`, hosts, host);
  if (!services.includes(service))
    throw unknown("service_unknown", `there is no service ${service}`, services, service);
  return { host, service };
}

function unknown(
  code: "host_unknown" | "service_unknown",
  message: string,
  known: readonly string[],
  found: string,
): StackctlError {
  return new StackctlError(code, message, {
    details: { expected: `one of ${known.join(", ")}`, found, remedy: "stackctl status" },
  });
}
