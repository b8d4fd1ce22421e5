import { StackctlError, version, type Scope, type StatusResult } from "@stackctl/protocol";
import type { LoadedCloud } from "../config/model.ts";
import type { Questions } from "../fleet/ask.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Planner } from "../run/planner.ts";
import type { Publisher } from "../run/publisher.ts";
import type { Runs } from "../run/runs.ts";
import type { Store } from "../store/store.ts";
import type { Vault } from "../vault/vault.ts";
import type { ApiHandlers } from "./api.ts";
import { preflight } from "./preflight.ts";
import { statusOf } from "./status.ts";

export interface HandlersOptions {
  readonly store: Store;
  readonly vault: Vault;
  readonly fleet: Fleet;
  readonly planner: Planner;
  readonly runs: Runs;
  readonly questions: Questions;
  readonly publisher: Publisher;
  readonly cloudFile: string;
  readonly startedAt: string;
  /** Reads `cloud.yaml` as it is now. */
  readonly load: () => LoadedCloud;
  /** Resolves once every enrolled host was heard, or has had its chance since the server started. */
  readonly settled: Promise<void>;
  /** Ends the server after the answer went out. */
  readonly stop: () => void;
}

/** Every call of the command line. */
export function handlers(options: HandlersOptions): ApiHandlers {
  const { store, vault, fleet, planner, runs, questions, publisher, load } = options;
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
    preflight: async ({ scope }) => {
      await options.settled;
      return { rows: await preflight(load().cloud, scope, { store, vault, fleet, questions, publisher }) };
    },
    plan: async ({ scope }) => {
      await options.settled;
      return planner.plan(load(), scope);
    },
    apply: async ({ scope, plan, by }) => {
      await options.settled;
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
    status: async (): Promise<StatusResult> => {
      await options.settled;
      return statusOf(load().cloud, store, fleet, Date.now());
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
      const known = store
        .documents(host)
        .some(({ body }) => body.resources.some(({ type, name }) => `${type}/${name}` === resource));
      const events = store.history(host, resource, 100);
      if (!known && events.length === 0) {
        const ids = store
          .documents(host)
          .flatMap(({ body }) => body.resources.map(({ type, name }) => `${type}/${name}`));
        throw new StackctlError("resource_unknown", `${host} has no resource ${resource}`, {
          details: {
            host,
            resource,
            remedy: ids.length === 0 ? "stackctl status" : `it has: ${ids.join(", ")}`,
          },
        });
      }
      return { events };
    },
    "host-forget-key": ({ host }) => {
      const forgotten = store.pin(host);
      if (forgotten !== null) store.decide("operator", { type: "host.key-forgotten", host });
      return { forgotten };
    },
    "secret-set": ({ name, value }) => ({ version: vault.write("operator", name, value) }),
  };
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
          repair: `stackctl why ${resource}@${host}`,
        };
      }),
    ),
  );
}
