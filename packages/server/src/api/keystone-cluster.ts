import type { ClusterView, StatusResult } from "@stackctl/protocol";
import type { Fleet } from "../fleet/fleet.ts";
import { ringNames } from "../keys/rings.ts";
import type { Store } from "../store/store.ts";
import { healthOf, memberOf, viewOf } from "./clusters.ts";

type Keys = StatusResult["keys"];

/** The keystones as they answered their agents last; null: there is none on any of these hosts. */
export function keystoneCluster(hosts: readonly string[], store: Store, fleet: Fleet): ClusterView | null {
  const members = hosts
    .filter((host) =>
      store
        .documents(host)
        .some(({ body }) =>
          body.resources.some((each) => each.type === "container" && each.spec.cluster === "keystone"),
        ),
    )
    .map((host) => memberOf(host, fleet.presence(host), "keystone"));
  return members.length === 0 ? null : viewOf(members, "answering");
}

/** The rings of keys as they are on the hosts; none: no host is to have one. */
export function ringsOf(hosts: readonly string[], store: Store, fleet: Fleet): Keys {
  const keys: Keys = {};
  for (const ring of ringNames) {
    const holders = hosts.filter((host) =>
      store
        .documents(host)
        .some(({ body }) => body.resources.some(({ type, name }) => type === "key-ring" && name === ring)),
    );
    const generation = store.rings().get(ring)?.generation;
    if (holders.length === 0 || generation === undefined) continue;
    const said = holders.map((host) => ({
      host,
      state: fleet.presence(host)?.state,
      health: healthOf(fleet.presence(host), `keys-${ring}`),
    }));
    const good = said.filter(({ state, health }) => state === "ok" && health?.ok === true);
    // All that are right have the same files; the most frequent ones are meant should that ever not be so.
    const counts = Map.groupBy(good, ({ health }) => health?.id ?? "");
    const equal = Math.max(0, ...[...counts.values()].map((each) => each.length));
    const other = said
      .filter(({ state, health }) => state === "ok" && health?.ok === false)
      .map(({ host }) => host);
    keys[ring] = { generation, equal, all: holders.length, other };
  }
  return keys;
}

/** What is wrong with the keys of hosts that are there. Pure. */
export function ringProblems(keys: Keys): StatusResult["problems"] {
  return Object.entries(keys).flatMap(([ring, { other }]) =>
    other.map((host) => ({
      host,
      text: `${host}: its ${ring} keys are not those of the cloud`,
      remedy: `stackctl repair ${host} key-ring/${ring}`,
    })),
  );
}
