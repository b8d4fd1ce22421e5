import type { ClusterView, MemberHealth, StatusResult } from "@stackctl/protocol";
import type { Fleet, Presence } from "../fleet/fleet.ts";
import { ringNames } from "../keys/rings.ts";
import type { Store } from "../store/store.ts";

type Member = ClusterView["members"][number];
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
    .map((host) => memberOf(host, fleet.presence(host)));
  return members.length === 0 ? null : viewOf(members);
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

function viewOf(members: readonly Member[]): ClusterView {
  const good = members.filter(({ ok }) => ok);
  const others = members.filter(({ ok }) => !ok).map(({ host, state }) => `${host} ${state}`);
  return {
    ok: others.length === 0,
    text: [`${String(good.length)}/${String(members.length)} answering`, ...others].join(", "),
    members: [...members],
  };
}

function memberOf(host: string, presence: Presence | null): Member {
  if (presence === null || presence.state !== "ok") {
    const state = presence?.state === "rebooting" ? "reboots" : "off";
    return { host, ok: false, state, size: 0, id: null };
  }
  const said = healthOf(presence, "keystone");
  if (said === undefined) return { host, ok: false, state: "not known yet", size: 0, id: null };
  const { ok, state, size, id } = said;
  return { host, ok, state, size, id };
}

function healthOf(presence: Presence | null, wanted: string): MemberHealth | undefined {
  return presence?.status?.members?.find(({ cluster }) => cluster === wanted);
}
