import { resourceId, StackctlError, type HostRemoval } from "@stackctl/protocol";
import { emptyDocument, type CompiledDocument } from "../compile/compile.ts";
import { secretRefs } from "../compile/secrets.ts";
import type { Cloud } from "../config/model.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Holds } from "../fleet/holds.ts";
import { services } from "../services/index.ts";
import type { Store } from "../store/store.ts";
import type { Planner } from "./planner.ts";

/** The last two steps of a host's removal: its agent takes itself away, and the server forgets it. */
export const leaveSteps = { agent: "agent", forget: "forget" } as const;

/**
 * Whether a host may be removed at all.
 * @throws StackctlError `host_unknown`, `host_in_file`, `host_is_primary` or `held`, each with what to do first
 */
export function assertRemovable(
  host: string,
  cloud: Cloud,
  store: Store,
  holds: Pick<Holds, "covering" | "why">,
): void {
  if (cloud.hosts.some(({ name }) => name === host)) {
    throw new StackctlError("host_in_file", `${host} is in cloud.yaml, so the cloud wants it`, {
      details: { host, remedy: `take ${host} out of cloud.yaml, then: stackctl host remove ${host}` },
    });
  }
  if (store.agent(host) === null) {
    const known = store.agents().map((agent) => agent.host);
    throw new StackctlError("host_unknown", `there is no host ${host}`, {
      details: { expected: `one of ${known.join(", ")}`, found: host, remedy: "stackctl status" },
    });
  }
  if (store.primary() === host) {
    throw new StackctlError("host_is_primary", `${host} is the primary: things are made there first`, {
      details: { host, remedy: "let another controller take its part: stackctl apply aio" },
    });
  }
  for (const service of [null, ...servicesOf(host, store, [])]) {
    const hold = holds.covering(host, service);
    if (hold === null) continue;
    throw new StackctlError("held", `${service ?? host} is ${holds.why(host, service) ?? "held"}`, {
      details: { host, remedy: `stackctl release ${hold.target}` },
    });
  }
}

/**
 * The services that are taken away from a host, each before what it needs.
 * @param left those that the agent says are there still though the server knows of no document of them
 */
export function servicesOf(host: string, store: Store, left: readonly string[]): string[] {
  const held = store.documents(host).filter(({ service, seq, body }) => {
    const applied = store.applied(host, service);
    return body.resources.length > 0 || applied?.seq !== seq || applied.outcome === "failed";
  });
  const order = services.map(({ name }) => name).toReversed();
  // What is not known any more may need anything that is.
  const place = (name: string): number => order.indexOf(name);
  const names = new Set([...left, ...held.map(({ service }) => service)]);
  return [...names].toSorted((a, b) => place(a) - place(b));
}

/** What a removal would do to a host, for whoever has to decide. Changes nothing. */
export async function describeRemoval(
  host: string,
  store: Store,
  fleet: Fleet,
  planner: Pick<Planner, "planHost">,
): Promise<HostRemoval> {
  const presence = fleet.presence(host);
  const names = servicesOf(host, store, presence?.status?.left ?? []);
  const documents: CompiledDocument[] = names.map(emptyDocument);
  const plan = await planner.planHost(host, documents);
  return {
    host,
    there: plan.state === "known",
    since: presence === null ? null : new Date(presence.sinceMs).toISOString(),
    services: names.map((service) => ({
      service,
      resources:
        plan.state === "known"
          ? (plan.services.get(service)?.resources ?? []).map(({ id, why = "removed" }) => ({ id, why }))
          : resourcesOf(host, service, store).map((id) => ({ id, why: "stays on its disk" })),
    })),
    secrets: secretsOf(host, store),
  };
}

/** What is left on the disk of a host that was let go without its agent, and what it knows. */
export function leftBehind(host: string, store: Store): string {
  const names = servicesOf(host, store, []).filter((service) => resourcesOf(host, service, store).length > 0);
  const secrets = secretsOf(host, store);
  return [
    `${host} was forgotten without its agent`,
    ...(names.length === 0 ? [] : [`on its disk is still ${names.join(", ")}`]),
    ...(secrets.length === 0 ? [] : [`it knows ${secrets.join(", ")}`]),
  ].join("; ");
}

function resourcesOf(host: string, service: string, store: Store): string[] {
  return (store.document(host, service)?.body.resources ?? []).map(resourceId);
}

function secretsOf(host: string, store: Store): string[] {
  const refs = store.documents(host).flatMap(({ body }) => secretRefs(body.resources));
  return [...new Set(refs.map(({ secret }) => secret))].toSorted();
}
