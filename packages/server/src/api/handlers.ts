import {
  repairAnswer,
  resourceId,
  StackctlError,
  version,
  type Scope,
  type StatusResult,
} from "@stackctl/protocol";
import type { LoadedCloud } from "../config/model.ts";
import type { Questions } from "../fleet/ask.ts";
import { describeChange } from "../fleet/describe.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Holds } from "../fleet/holds.ts";
import { logHosts } from "../fleet/log-hosts.ts";
import type { Logs } from "../fleet/logs.ts";
import type { GaleraLead } from "../fleet/galera-lead.ts";
import type { Permits } from "../fleet/permits.ts";
import type { Planner } from "../run/planner.ts";
import type { Publisher } from "../run/publisher.ts";
import { assertRemovable, describeRemoval } from "../run/removal.ts";
import type { Runs } from "../run/runs.ts";
import { hostsOf } from "../run/scope.ts";
import type { Upgrades } from "../run/upgrades.ts";
import type { Store } from "../store/store.ts";
import type { Vault } from "../vault/vault.ts";
import { pinNamed, type Logins } from "../bootstrap/logins.ts";
import type { ApiHandlers } from "./api.ts";
import { credentialsOf } from "./credentials.ts";
import { buildImages, imageListOf, moveRegistry, pruneImages } from "./images.ts";
import { preflight } from "./preflight.ts";
import { renderHost } from "./render.ts";
import { runList } from "./run-list.ts";
import { services } from "../services/index.ts";
import { statusOf } from "./status.ts";
import { targetFrom } from "./target.ts";

/** How long one repair may take, with what the agent is just doing, before the answer goes out without it. */
const repairMs = 110_000;
/** How long agents that are there may take to learn of a hold before the answer goes out. */
const holdsMs = 3000;

export interface HandlersOptions {
  readonly store: Store;
  readonly vault: Vault;
  readonly logins: Logins;
  readonly fleet: Fleet;
  readonly permits: Permits;
  readonly galeraLead: GaleraLead;
  readonly holds: Holds;
  readonly logs: Logs;
  readonly planner: Planner;
  readonly runs: Runs;
  readonly upgrades: Upgrades;
  readonly questions: Questions;
  readonly publisher: Publisher;
  readonly cloudFile: string;
  readonly startedAt: string;
  /** The authority of the cloud's own registry, PEM. */
  readonly authority: () => string;
  /** Reads `cloud.yaml` as it is now. */
  readonly load: () => LoadedCloud;
  /** Resolves once every enrolled host was heard, or has had its chance since the server started. */
  readonly settled: Promise<void>;
  /** Ends the server after the answer went out. */
  readonly stop: () => void;
}

/** Every call of the command line. */
export function handlers(options: HandlersOptions): ApiHandlers {
  const { store, vault, logins, fleet, holds, planner, runs, upgrades, questions, publisher, load } = options;
  const cluster = store.cloud()?.cluster;
  if (cluster === undefined) throw new Error("the store holds no cloud");
  return {
    server: () => ({
      version,
      pid: process.pid,
      cluster,
      cloudFile: options.cloudFile,
      startedAt: options.startedAt,
    }),
    stop: () => {
      setImmediate(options.stop);
      return {};
    },
    preflight: async ({ scope, sshAgent }) => {
      await options.settled;
      if (sshAgent !== undefined) logins.useAgent(sshAgent);
      const { cloud } = load();
      return { rows: await preflight(cloud, scope, { store, logins, vault, fleet, questions, publisher }) };
    },
    plan: async ({ scope }) => {
      await options.settled;
      return planner.plan(load(), scope);
    },
    apply: async ({ scope, plan, by, sshAgent }) => {
      await options.settled;
      if (sshAgent !== undefined) logins.useAgent(sshAgent);
      const loaded = load();
      if (plan !== null) await assertFresh(planner, loaded, scope, plan);
      return runs.start(scope, loaded, { kind: "run", text: `by ${by}` }, by);
    },
    run: async ({ runId, after, waitMs }) => {
      const view = runs.view(runId);
      const entries = (): ReturnType<typeof runEntries> => runEntries(store, runId, after);
      if (waitMs === 0 || view.state === "done" || entries().length > 0)
        return { run: view, entries: entries() };
      await runs.news(waitMs);
      return { run: runs.view(runId), entries: entries() };
    },
    runs: ({ limit }) => ({ runs: runList(store, limit) }),
    render: ({ host, service }) => renderHost(load(), planner, host, service),
    status: async (): Promise<StatusResult> => {
      await options.settled;
      return statusOf(load().cloud, store, fleet, options, Date.now());
    },
    drift: async () => {
      await options.settled;
      return { drift: driftOf(store, fleet) };
    },
    events: async ({ after, limit, waitMs }) => {
      let events = store.events(after, limit);
      if (events.length === 0 && waitMs > 0 && after !== null) {
        await runs.news(waitMs);
        events = store.events(after, limit);
      }
      return { events, next: events.at(-1)?.n ?? after ?? 0 };
    },
    why: ({ host, resource }) => {
      const events = store.history(host, resource, 100);
      if (events.length === 0) assertResource(store, host, resource);
      return { events };
    },
    repair: async ({ host, resource, by }) => {
      await options.settled;
      const service = assertResource(store, host, resource);
      const held = holds.why(host, service);
      if (held !== null) {
        throw new StackctlError("held", `${resource} of ${host} is ${held}`, {
          details: {
            host,
            resource,
            remedy: `stackctl release ${holds.covering(host, service)?.target ?? host}`,
          },
        });
      }
      const answer = await questions.ask(host, { kind: "repair", service, id: resource, by }, repairMs);
      const { outcome, why, changes } = repairAnswer.parse(answer);
      const waits = outcome === "skipped" ? options.permits.waiting(host, service) : null;
      return { outcome, why: waits ?? why, changes: changes.map(describeChange) };
    },
    hold: async ({ target, seconds, why, by }) => {
      await options.settled;
      const { host, service } = targetFrom(target, load().cloud, store, serviceNames(store));
      const hold = holds.set(host, service, Date.now() + seconds * 1000, why, by);
      return { hold, untold: concerned(await holds.settled(holdsMs), host) };
    },
    release: async ({ target, by }) => {
      await options.settled;
      const { host, service } = targetFrom(target, load().cloud, store, serviceNames(store));
      const hold = holds.release(host, service, by);
      return { hold, untold: concerned(await holds.settled(holdsMs), host) };
    },
    "image-list": () => imageListOf(load().cloud, store),
    "image-build": async ({ names, by }) => {
      await options.settled;
      return buildImages(options, load(), names, by);
    },
    "image-prune": async ({ by }) => {
      await options.settled;
      return pruneImages(options, load(), by);
    },
    "registry-move": async ({ host, by }) => {
      await options.settled;
      return moveRegistry(options, load(), host, by);
    },
    logs: async (asked) => {
      await options.settled;
      return options.logs.read(asked, () => {
        const enrolled = store.agents().map(({ host }) => ({
          host,
          documents: store
            .documents(host)
            .map(({ service, body }) => ({ service, resources: body.resources })),
        }));
        const named = [...load().cloud.hosts.map(({ name }) => name), ...enrolled.map(({ host }) => host)];
        return logHosts(asked.service, asked.host, enrolled, [...new Set(named)]);
      });
    },
    "logs-end": ({ reading }) => {
      options.logs.end(reading);
      return {};
    },
    "agent-upgrade": async ({ hosts, bundle, by }) => {
      await options.settled;
      return upgrades.ask(hostsOf(load().cloud, hosts.length === 0 ? "aio" : hosts), bundle, by);
    },
    "agent-upgrade-news": async ({ id, waitMs }) => {
      if (waitMs > 0 && upgrades.view(id).state === "running") await upgrades.news(waitMs);
      return upgrades.view(id);
    },
    "host-forget-key": ({ host }) => {
      const pinned = pinNamed(host, load().cloud);
      const forgotten = store.pin(pinned);
      if (forgotten !== null) store.decide("operator", { type: "host.key-forgotten", host: pinned });
      return { forgotten };
    },
    "host-removal": async ({ host }) => {
      await options.settled;
      assertRemovable(host, load().cloud, store, holds);
      return describeRemoval(host, store, fleet, planner);
    },
    "host-remove": async ({ host, by }) => {
      await options.settled;
      const loaded = load();
      // Asked again, such as by a script that was killed: it is done.
      const former = store.formerHosts().find((each) => each.host === host);
      if (former !== undefined) return { runId: former.run, joined: true };
      assertRemovable(host, loaded.cloud, store, holds);
      return runs.remove(host, loaded, by);
    },
    credentials: () => {
      const loaded = load();
      return credentialsOf(planner.context(loaded), vault, options.authority());
    },
    "secret-set": ({ name, value }) => ({ version: vault.write("operator", name, value) }),
  };
}

/** The service of a host that a resource belongs to. @throws StackctlError `resource_unknown` naming those that it has */
function assertResource(store: Store, host: string, resource: string): string {
  const documents = store.documents(host);
  const found = documents.find(({ body }) => body.resources.some((each) => resourceId(each) === resource));
  if (found !== undefined) return found.service;
  const ids = documents.flatMap(({ body }) => body.resources.map(resourceId));
  throw new StackctlError("resource_unknown", `${host} has no resource ${resource}`, {
    details: { host, resource, remedy: ids.length === 0 ? "stackctl status" : `it has: ${ids.join(", ")}` },
  });
}

/** Every service that the cloud may have, and those that hosts still have documents of. */
function serviceNames(store: Store): string[] {
  const held = store.agents().flatMap(({ host }) => store.documents(host).map(({ service }) => service));
  return [...new Set([...services.map(({ name }) => name), ...held])];
}

/** Those of the hosts that a hold is about. */
function concerned(hosts: readonly string[], about: string | null): string[] {
  return hosts.filter((host) => about === null || about === host);
}

async function assertFresh(planner: Planner, loaded: LoadedCloud, scope: Scope, hash: string): Promise<void> {
  const now = await planner.plan(loaded, scope);
  if (now.hash === hash) return;
  throw new StackctlError(
    "plan_stale",
    `plan ${hash} is stale: the file or a host has changed since it was made`,
    {
      details: { expected: hash, found: now.hash, remedy: "look at it again with: stackctl plan" },
    },
  );
}

function runEntries(
  store: Store,
  runId: number,
  after: number,
): { n: number; at: string; host: string | null; service: string | null; type: string; text: string }[] {
  return store.runEvents(runId, after, 500).map(({ n, at, host, service, resource, type, text }) => ({
    n,
    at,
    host,
    service,
    type,
    text: resource === null ? text : `${resource} ${text}`,
  }));
}

function driftOf(
  store: Store,
  fleet: Fleet,
): { host: string; resource: string; since: string; text: string; repair: string }[] {
  return store.agents().flatMap(({ host }) =>
    (fleet.presence(host)?.status?.documents ?? []).flatMap(({ drifted }) =>
      drifted.map((resource) => {
        const event = store.driftedSince(host, resource);
        return {
          host,
          resource,
          since: event?.at ?? new Date().toISOString(),
          text: event?.text ?? "differs from what it should be",
          repair: `stackctl repair ${host} ${resource}`,
        };
      }),
    ),
  );
}
