import type { ClusterView, MemberHealth, StatusResult } from "@stackctl/protocol";
import type { Fleet, Presence } from "../fleet/fleet.ts";
import type { Store } from "../store/store.ts";

type Member = ClusterView["members"][number];

/** The databases' cluster as its members told it last; null: there is none on any of these hosts. */
export function mariadbCluster(hosts: readonly string[], store: Store, fleet: Fleet): ClusterView | null {
  const members = hosts
    .filter((host) =>
      store.documents(host).some(({ body }) => body.resources.some(({ type }) => type === "galera-member")),
    )
    .map((host) => memberOf(host, fleet.presence(host), store.galera()));
  return members.length === 0 ? null : clusterOf(members);
}

/** What is wrong with it, with what to type next; null: nothing. */
export function clusterProblem(name: string, view: ClusterView): StatusResult["problems"][number] | null {
  if (view.ok) return null;
  const ill = view.members.find(({ ok }) => !ok);
  return {
    host: null,
    text: `${name} ${view.text}`,
    remedy:
      ill === undefined
        ? "stackctl events -f"
        : ill.state === "off"
          ? `power ${ill.host} on, it joins by itself`
          : `stackctl logs ${name}`,
  };
}

/** Members that see each other, put together. Pure. */
function clusterOf(members: readonly Member[]): ClusterView {
  const count = String(members.length);
  const good = members.filter(({ ok }) => ok);
  const others = members.filter(({ ok }) => !ok).map(({ host, state }) => `${host} ${state}`);
  // Each may be well by itself and still not see the others.
  const apart = good.filter(({ size }) => size !== members.length);
  if (others.length === 0 && apart.length > 0)
    others.push(...apart.map(({ host, size }) => `${host} sees ${String(size)}`));
  return {
    ok: others.length === 0,
    text: [`${String(good.length)}/${count} Synced`, ...others].join(", "),
    members: [...members],
  };
}

function memberOf(host: string, presence: Presence | null, uuid: string | null): Member {
  if (presence === null || presence.state !== "ok") {
    const state = presence?.state === "rebooting" ? "reboots" : "off";
    return { host, ok: false, state, size: 0, id: null };
  }
  const said: MemberHealth | undefined = presence.status?.members?.find(
    ({ cluster }) => cluster === "galera",
  );
  if (said === undefined) return { host, ok: false, state: "not known yet", size: 0, id: null };
  const { state, size, id } = said;
  return { host, ok: said.ok && (uuid === null || id === uuid), state, size, id };
}
