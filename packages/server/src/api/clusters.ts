import type { ClusterView, MemberHealth, StatusResult } from "@stackctl/protocol";
import type { Fleet, Presence } from "../fleet/fleet.ts";
import type { Store } from "../store/store.ts";

type Member = ClusterView["members"][number];

/** The databases' cluster as its members told it last; null: there is none on any of these hosts. */
export function mariadbCluster(hosts: readonly string[], store: Store, fleet: Fleet): ClusterView | null {
  const uuid = store.galera();
  const members = hosts
    .filter((host) =>
      store.documents(host).some(({ body }) => body.resources.some(({ type }) => type === "galera-member")),
    )
    .map((host) => memberOf(host, fleet.presence(host), "galera"))
    // Well by itself, but of another cluster than this cloud's.
    .map((member) => ({ ...member, ok: member.ok && (uuid === null || member.id === uuid) }));
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
  const view = viewOf(members, "Synced");
  // Each may be well by itself and still not see the others.
  const apart = members.filter(({ size }) => size !== members.length);
  if (!view.ok || apart.length === 0) return view;
  const others = apart.map(({ host, size }) => `${host} sees ${String(size)}`);
  return { ...view, ok: false, text: [view.text, ...others].join(", ") };
}

/** How many members do their work, and what the others do. Pure. @param word of one that works, such as `Synced` */
export function viewOf(members: readonly Member[], word: string): ClusterView {
  const good = members.filter(({ ok }) => ok);
  const others = members.filter(({ ok }) => !ok).map(({ host, state }) => `${host} ${state}`);
  return {
    ok: others.length === 0,
    text: [`${String(good.length)}/${String(members.length)} ${word}`, ...others].join(", "),
    members: [...members],
  };
}

/** How a host's member of a cluster is, as it said last; one that is not there is not well. Pure. */
export function memberOf(host: string, presence: Presence | null, cluster: string): Member {
  if (presence === null || presence.state !== "ok") {
    const state = presence?.state === "rebooting" ? "reboots" : "off";
    return { host, ok: false, state, size: 0, id: null };
  }
  const said = healthOf(presence, cluster);
  if (said === undefined) return { host, ok: false, state: "not known yet", size: 0, id: null };
  const { ok, state, size, id } = said;
  return { host, ok, state, size, id };
}

/** What a host's member of a cluster said of itself last; undefined: nothing. Pure. */
export function healthOf(presence: Presence | null, wanted: string): MemberHealth | undefined {
  return presence?.status?.members?.find(({ cluster }) => cluster === wanted);
}
