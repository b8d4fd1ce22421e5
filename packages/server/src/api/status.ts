import type { StatusResult } from "@stackctl/protocol";
import type { Cloud } from "../config/model.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Holds } from "../fleet/holds.ts";
import type { GaleraLead } from "../fleet/galera-lead.ts";
import type { Permits } from "../fleet/permits.ts";
import { applyResultOf } from "../run/result.ts";
import { clusterProblem, mariadbCluster } from "./clusters.ts";
import { keystoneCluster, ringProblems, ringsOf } from "./keystone-cluster.ts";
import { enrolStep, isOwed } from "../run/runs.ts";
import type { Store } from "../store/store.ts";

type HostStatus = StatusResult["hosts"][number];
type Problem = StatusResult["problems"][number];

/** The truth about the cloud, from what the server knows already: it never waits for a host. */
export function statusOf(
  cloud: Cloud,
  store: Store,
  fleet: Fleet,
  {
    permits,
    galeraLead,
    holds,
  }: {
    readonly permits: Pick<Permits, "waiting">;
    readonly galeraLead: Pick<GaleraLead, "why">;
    readonly holds: Pick<Holds, "covering" | "views" | "why">;
  },
  now: number,
): StatusResult {
  const problems: Problem[] = [];
  const hosts: HostStatus[] = cloud.hosts.map(({ name, role }) => {
    const presence = fleet.presence(name);
    const status = presence?.status ?? null;
    const documents = store.documents(name).filter(({ body }) => body.resources.length > 0);
    const held = new Map(status?.documents.map((document) => [document.service, document]) ?? []);
    const goodServices = new Set<string>();
    for (const { service, seq } of documents) {
      const own = held.get(service);
      if (
        own?.seq === seq &&
        (own.outcome === "unchanged" || own.outcome === "changed") &&
        own.drifted.length === 0
      )
        goodServices.add(service);
      else if (own?.outcome === "failed") {
        const why =
          store.applied(name, service)?.resources.find(({ outcome }) => outcome === "failed")?.why ??
          "see its events";
        problems.push({
          host: name,
          text: `${name}: ${service} failed: ${why}`,
          remedy: `stackctl apply ${name}`,
        });
      }
    }
    const late = documents.filter(({ service }) => !goodServices.has(service)).map(({ service }) => service);
    const state = presence === null ? "new" : presence.state;
    const waits = state === "ok" ? permits.waiting(name) : null;
    const drifted =
      status?.documents.flatMap((document) =>
        document.drifted.map((id) => ({ id, service: document.service })),
      ) ?? [];
    const drift = drifted.map(({ id }) => id);
    const since = presence === null ? null : new Date(presence.sinceMs).toISOString();
    if (state === "new") {
      problems.push({ host: name, text: `${name} is not set up yet`, remedy: `stackctl apply ${name}` });
    } else if (state !== "ok") {
      const what = state === "rebooting" ? "reboots" : "is off";
      problems.push({
        host: name,
        text: `${name} ${what} since ${new Date(presence?.sinceMs ?? now).toLocaleTimeString("en-GB")}`,
        remedy: `power it on, it is completed by itself; if it runs: journalctl -u stackctl-agent on ${name}`,
      });
    }
    if (
      state === "ok" &&
      late.length > 0 &&
      drift.length === 0 &&
      !problems.some(({ host }) => host === name)
    ) {
      problems.push({
        host: name,
        text: `${name}: ${late.join(", ")} not true yet${waits === null ? "" : `, ${waits}`}`,
        remedy: "stackctl events -f",
      });
    }
    for (const { id, service } of drifted) {
      const hold = holds.covering(name, service);
      const reason = holds.why(name, service) ?? waits;
      problems.push({
        host: name,
        text: `${name}: ${id} differs from what it should be${reason === null ? "" : `, ${reason}`}`,
        remedy:
          hold !== null
            ? `stackctl release ${hold.target}`
            : waits !== null
              ? "stackctl events -f"
              : `stackctl repair ${name} ${id}`,
      });
    }
    // What was skipped because the host was away is owed whatever it held before; what failed may have healed since.
    const skipped = store
      .lastSteps(name)
      .find(({ service, outcome, why }) =>
        outcome === "skipped" && isOwed(why)
          ? true
          : (outcome === "skipped" || outcome === "failed") &&
            service !== enrolStep &&
            !goodServices.has(service),
      );
    const hold = skipped === undefined ? null : holds.covering(name, skipped.service);
    if (state === "ok" && skipped !== undefined && !problems.some(({ host }) => host === name)) {
      problems.push({
        host: name,
        text: `${name}: ${skipped.service} ${skipped.outcome}: ${skipped.why ?? ""}`,
        remedy:
          hold === null
            ? `stackctl apply ${name}`
            : `it is done by itself then; sooner: stackctl release ${hold.target}`,
      });
    }
    return {
      name,
      role,
      state,
      since,
      agentVersion: status?.version ?? null,
      agentRelease: status?.release ?? null,
      bootedAt:
        status === null || state === "new" ? null : new Date(now - status.uptimeSeconds * 1000).toISOString(),
      documents: { good: state === "ok" ? goodServices.size : 0, all: documents.length },
      drift,
      kept: status?.kept ?? [],
      doing: status?.doing ?? waits,
    };
  });
  for (const { host } of store.agents()) {
    if (cloud.hosts.some(({ name }) => name === host)) continue;
    const status = fleet.presence(host)?.status ?? null;
    problems.push(orphanProblem(host, store));
    hosts.push({
      name: host,
      role: "compute",
      state: "orphaned",
      since: null,
      agentVersion: status?.version ?? null,
      agentRelease: status?.release ?? null,
      bootedAt: null,
      documents: { good: 0, all: 0 },
      drift: [],
      kept: status?.kept ?? [],
      doing: null,
    });
  }
  const names = cloud.hosts.map(({ name }) => name);
  const stuck = galeraLead.why();
  const clusters: StatusResult["clusters"] = {};
  for (const [name, view, why] of [
    ["mariadb", mariadbCluster(names, store, fleet), stuck],
    ["keystone", keystoneCluster(names, store, fleet), null],
  ] as const) {
    if (view === null) continue;
    clusters[name] = view;
    const sick = clusterProblem(name, view);
    if (sick !== null && why !== null)
      problems.push({
        ...sick,
        text: `${name}: ${why}`,
        remedy: "bring that member back; see docs/mariadb.md",
      });
    else if (sick !== null) problems.push(sick);
  }
  const keys = ringsOf(names, store, fleet);
  problems.push(...ringProblems(keys));
  const last = store.lastRun();
  const up = hosts.some(({ state }) => state === "ok");
  return {
    outcome: problems.length === 0 ? "green" : up ? "degraded" : "down",
    cloud: cloud.name,
    problems,
    hosts,
    clusters,
    keys,
    holds: holds.views(),
    run:
      last === null
        ? null
        : {
            id: last.id,
            state: last.endedAt === null ? "running" : "done",
            outcome: last.endedAt === null ? null : applyResultOf(last, store.steps(last.id)).outcome,
            at: last.endedAt ?? last.startedAt,
          },
  };
}

/** What to do about a host that left the file. */
function orphanProblem(host: string, store: Store): Problem {
  const removal = store.removalOf(host);
  if (removal === null) {
    return {
      host,
      text: `${host} is not in the file any more and was left as it is`,
      remedy: `put it back into cloud.yaml, or: stackctl host remove ${host}`,
    };
  }
  if (store.run(removal.run)?.endedAt === null) {
    const remedy = `stackctl runs attach ${String(removal.run)}`;
    return { host, text: `${host} is being removed`, remedy };
  }
  const bad = store.steps(removal.run).find(({ outcome }) => outcome === "failed" || outcome === "skipped");
  return {
    host,
    text: `${host} could not be removed: ${bad?.service ?? "it"}: ${bad?.why ?? "see its events"}`,
    remedy: `stackctl host remove ${host}`,
  };
}
