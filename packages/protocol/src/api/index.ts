import * as z from "zod/mini";
import { cause } from "../cause.ts";
import { hostName, pinName, role, secretName, serviceName } from "../names.ts";
import { maxLogLines } from "../log-lines.ts";
import { outcome, resourceOutcome, resourceResult } from "../outcome.ts";
import { scope } from "./scope.ts";
import { renderView, runRow } from "./show.ts";
import { imageMethods } from "./images.ts";
import { upgradeMethods } from "./upgrade.ts";
import { credentials } from "./credentials.ts";

export * from "./credentials.ts";
export * from "./scope.ts";
export * from "./show.ts";

const count = z.int().check(z.nonnegative());
const instant = z.iso.datetime();
const totals = z.strictObject({ unchanged: count, changed: count, skipped: count, failed: count });

/** Longest time in milliseconds that a call waits for news before it answers with none. */
export const maxWaitMs = 10_000;

/** `apply --json` prints exactly this. */
export const applyResult = z.strictObject({
  runId: count,
  outcome: z.enum(["unchanged", "changed", "failed"]),
  seconds: z.number(),
  totals,
  hosts: z.array(
    z.strictObject({
      name: hostName,
      outcome,
      /** Why the host was skipped or failed. */
      why: z.optional(z.string()),
      services: z.array(
        z.strictObject({
          name: serviceName,
          outcome,
          why: z.optional(z.string()),
          resources: z.array(
            z.strictObject({ id: z.string(), outcome: resourceResult, why: z.optional(z.string()) }),
          ),
        }),
      ),
    }),
  ),
});
export type ApplyResult = z.infer<typeof applyResult>;

/** Where one step of a run is on one host. */
export const stepState = z.enum([
  "pending",
  "running",
  "waiting",
  "unchanged",
  "changed",
  "skipped",
  "failed",
]);
export type StepState = z.infer<typeof stepState>;

/** One run as it is now, enough to draw it. */
export const runView = z.strictObject({
  id: count,
  cloud: z.string(),
  scope,
  cause,
  state: z.enum(["running", "done"]),
  startedAt: instant,
  /** In the order in which they run; `enrol` is the first. */
  steps: z.array(
    z.strictObject({
      service: z.string(),
      hosts: z.array(
        z.strictObject({
          host: hostName,
          state: stepState,
          /** What it does or waits for, and since when that is so. */
          doing: z.optional(z.string()),
          since: z.optional(instant),
          seconds: z.optional(z.number()),
        }),
      ),
    }),
  ),
  /** Present once the run is done. */
  result: z.optional(applyResult),
});
export type RunView = z.infer<typeof runView>;

/** One line of a run's log: what happened, for a pipe and for later. */
export const runEntry = z.strictObject({
  n: count,
  at: instant,
  host: z.nullable(hostName),
  service: z.nullable(z.string()),
  /** Such as `step.started`, `step.changed`, `step.failed`, `host.waiting`, `run.done`. */
  type: z.string(),
  text: z.string(),
});
export type RunEntry = z.infer<typeof runEntry>;

/** What `plan` found. `plan --json` prints exactly this. */
export const planResult = z.strictObject({
  /** Names this plan for `apply --plan`; the same world gives the same hash. */
  hash: z.string(),
  totals: z.strictObject({ changes: count, hosts: count, restarts: count }),
  /** Services in the order in which they would run. */
  services: z.array(
    z.strictObject({
      service: serviceName,
      hosts: z.array(
        z.strictObject({
          host: hostName,
          /** `new`: not enrolled yet, so everything of it is to be made. */
          state: z.enum(["known", "new", "unreachable"]),
          resources: z.array(resourceOutcome),
          origins: z.record(z.string(), z.string()),
        }),
      ),
    }),
  ),
});
export type PlanResult = z.infer<typeof planResult>;

/** A person's wish that something be left alone for a while. */
export const holdView = z.strictObject({
  /** As it is named to `release`: a host, a service, or `service@host`. */
  target: z.string(),
  host: z.nullable(hostName),
  service: z.nullable(serviceName),
  why: z.string(),
  by: z.string(),
  until: instant,
});
export type HoldView = z.infer<typeof holdView>;

/** One cluster, in its own words. */
export const clusterView = z.strictObject({
  ok: z.boolean(),
  /** Such as `3/3 Synced`. */
  text: z.string(),
  members: z.array(
    z.strictObject({
      host: hostName,
      ok: z.boolean(),
      state: z.string(),
      /** How many members it sees. */
      size: count,
      /** Which cluster it is of. */
      id: z.nullable(z.string()),
    }),
  ),
});
export type ClusterView = z.infer<typeof clusterView>;

/** `status --json` prints exactly this. */
export const statusResult = z.strictObject({
  outcome: z.enum(["green", "degraded", "down"]),
  cloud: z.string(),
  /** One line for each thing that is not green, with what to type next. */
  problems: z.array(z.strictObject({ host: z.nullable(hostName), text: z.string(), remedy: z.string() })),
  hosts: z.array(
    z.strictObject({
      name: hostName,
      role,
      /** `new`: never enrolled; `orphaned`: not in the file any more. */
      state: z.enum(["ok", "silent", "absent", "rebooting", "new", "orphaned"]),
      /** When the state began. */
      since: z.nullable(instant),
      agentVersion: z.nullable(z.string()),
      /** Name of the release that its agent runs. */
      agentRelease: z.nullable(z.string()),
      bootedAt: z.nullable(instant),
      documents: z.strictObject({ good: count, all: count }),
      /** Ids of resources that differ now. */
      drift: z.array(z.string()),
      /** Data of what left the cloud, which stays until somebody takes it away by hand. */
      kept: z.array(z.string()),
      doing: z.nullable(z.string()),
    }),
  ),
  clusters: z.record(z.string(), clusterView),
  /** The rings of keys that keystones share, by name. */
  keys: z.record(
    z.string(),
    z.strictObject({
      generation: count,
      /** How many hosts have the same keys, and the right ones; of how many. */
      equal: count,
      all: count,
      /** Hosts that are there and have others. */
      other: z.array(hostName),
    }),
  ),
  holds: z.array(holdView),
  /** The run that is under way, else the last one. */
  run: z.nullable(
    z.strictObject({
      id: count,
      state: z.enum(["running", "done"]),
      outcome: z.nullable(z.string()),
      at: instant,
    }),
  ),
});
export type StatusResult = z.infer<typeof statusResult>;

/** One line of the history of the cloud. */
export const eventView = z.strictObject({
  n: count,
  at: instant,
  host: z.nullable(hostName),
  service: z.nullable(z.string()),
  resource: z.nullable(z.string()),
  type: z.string(),
  text: z.string(),
});
export type EventView = z.infer<typeof eventView>;

/** One line of a log; `logs --json` prints one object a line. */
export const logEntry = z.strictObject({ at: instant, host: hostName, from: z.string(), text: z.string() });
export type LogEntry = z.infer<typeof logEntry>;

/** How the reading of a log stands on one host. */
export const logHost = z.strictObject({
  host: hostName,
  /** Why nothing of it is shown just now; null: it is read, or was. */
  problem: z.nullable(z.string()),
  /** Lines so far that were left out, because more came than could be sent. */
  dropped: count,
});
export type LogHost = z.infer<typeof logHost>;

/** What preflight found on one host. */
export const preflightRow = z.strictObject({
  host: hostName,
  role,
  /** Over what it was asked. */
  via: z.enum(["ssh", "agent"]),
  ssh: z.string(),
  os: z.nullable(z.string()),
  cores: z.nullable(count),
  memoryMiB: z.nullable(count),
  diskMiB: z.nullable(count),
  /** Disks with nothing on them, and all of them. */
  disks: z.nullable(z.strictObject({ empty: count, all: count })),
  nics: z.nullable(z.string()),
  kvm: z.nullable(z.string()),
  clockSeconds: z.nullable(z.number()),
  /** The NTP client that keeps its clock; `none`, or `no sync` when it follows no server. */
  time: z.nullable(z.string()),
  packages: z.nullable(z.string()),
  problems: z.array(
    z.strictObject({ severity: z.enum(["error", "warning"]), text: z.string(), remedy: z.string() }),
  ),
});
export type PreflightRow = z.infer<typeof preflightRow>;

/** What the removal of a host takes away, and what stays of it. */
export const hostRemoval = z.strictObject({
  host: hostName,
  /** False: its agent does not answer, so the host is forgotten as it is. */
  there: z.boolean(),
  /** Since when its agent answers, or does not. */
  since: z.nullable(instant),
  services: z.array(
    z.strictObject({
      service: serviceName,
      resources: z.array(z.strictObject({ id: z.string(), why: z.string() })),
    }),
  ),
  /** Names of secrets that it was given. */
  secrets: z.array(secretName),
});
export type HostRemoval = z.infer<typeof hostRemoval>;

const empty = z.strictObject({});
/** Socket of the ssh agent of whoever types the command; left out: there is none. */
const sshAgent = z.optional(z.string().check(z.regex(/^\//), z.maxLength(4096)));
const wait = z.int().check(z.minimum(0), z.maximum(maxWaitMs));

/**
 * Every call that the command line may make, with the form of its request and of its answer. A long one
 * answers within {@link maxWaitMs} and is asked again with the cursor that it gave.
 */
export const apiMethods = {
  /** Which server is this. */
  server: {
    request: empty,
    answer: z.strictObject({
      version: z.string(),
      pid: count,
      cluster: z.uuid(),
      cloudFile: z.string(),
      startedAt: instant,
    }),
  },
  /** End the server; agents keep their documents true without it. */
  stop: { request: empty, answer: empty },
  preflight: {
    request: z.strictObject({ scope, sshAgent }),
    answer: z.strictObject({ rows: z.array(preflightRow) }),
  },
  plan: { request: z.strictObject({ scope }), answer: planResult },
  /** Starts a run, or answers with the one of the same scope that is under way. */
  apply: {
    request: z.strictObject({
      scope,
      plan: z.nullable(z.string()),
      by: z.string().check(z.maxLength(64)),
      sshAgent,
    }),
    answer: z.strictObject({ runId: count, joined: z.boolean() }),
  },
  /** News of a run after entry `after`; waits at most `waitMs` for some. */
  run: {
    request: z.strictObject({ runId: count, after: count, waitMs: wait }),
    answer: z.strictObject({ run: runView, entries: z.array(runEntry) }),
  },
  /** The last runs, newest first. */
  runs: {
    request: z.strictObject({ limit: z.int().check(z.minimum(1), z.maximum(500)) }),
    answer: z.strictObject({ runs: z.array(runRow) }),
  },
  /** What a host's documents would be, or one service's; asks nobody and changes nothing. */
  render: {
    request: z.strictObject({ host: hostName, service: z.nullable(serviceName) }),
    answer: renderView,
  },
  status: { request: empty, answer: statusResult },
  drift: {
    request: empty,
    answer: z.strictObject({
      drift: z.array(
        z.strictObject({
          host: hostName,
          resource: z.string(),
          since: instant,
          text: z.string(),
          repair: z.string(),
        }),
      ),
    }),
  },
  /** Events after number `after`, oldest first; null: the last `limit` ones. */
  events: {
    request: z.strictObject({
      after: z.nullable(count),
      limit: z.int().check(z.minimum(1), z.maximum(500)),
      waitMs: wait,
    }),
    answer: z.strictObject({ events: z.array(eventView), next: count }),
  },
  why: {
    request: z.strictObject({ host: hostName, resource: z.string().check(z.maxLength(200)) }),
    answer: z.strictObject({ events: z.array(eventView) }),
  },
  /** Leaves a host, a service, or a service of a host alone for a while; asked again, it prolongs. */
  hold: {
    request: z.strictObject({
      target: z.string().check(z.maxLength(100)),
      seconds: z.int().check(z.minimum(60), z.maximum(30 * 86_400)),
      why: z.string().check(z.minLength(1), z.maxLength(200)),
      by: z.string().check(z.maxLength(64)),
    }),
    answer: z.strictObject({
      hold: holdView,
      /** Hosts whose agents could not be told yet; they are when they return. */
      untold: z.array(hostName),
    }),
  },
  /** Ends a hold before its time. */
  release: {
    request: z.strictObject({
      target: z.string().check(z.maxLength(100)),
      by: z.string().check(z.maxLength(64)),
    }),
    answer: z.strictObject({ hold: holdView, untold: z.array(hostName) }),
  },
  /** Makes one resource of a host true now; `repair --json` prints the answer. */
  repair: {
    request: z.strictObject({
      host: hostName,
      resource: z.string().check(z.maxLength(200)),
      by: z.string().check(z.maxLength(64)),
    }),
    answer: z.strictObject({
      outcome: z.enum(["unchanged", "changed", "skipped", "failed"]),
      why: z.nullable(z.string()),
      /** What was changed, a few words each. */
      changes: z.array(z.string()),
    }),
  },
  ...imageMethods,
  /**
   * Lines of a service's log from all hosts that have it, or from one, merged by time, after line `after` of this reading;
   * one that the server does not know is begun. Asked for no more, it ends by itself.
   */
  logs: {
    request: z.strictObject({
      reading: z.uuid(),
      service: serviceName,
      host: z.nullable(hostName),
      /** How many of the last lines. */
      lines: z.int().check(z.minimum(0), z.maximum(maxLogLines)),
      /** None before this, Unix microseconds; null: however old. */
      sinceUs: z.nullable(count),
      /** Go on with lines as they come. */
      follow: z.boolean(),
      after: count,
      waitMs: wait,
    }),
    answer: z.strictObject({
      lines: z.array(logEntry),
      next: count,
      /** Of the newest line so far, Unix microseconds: from where a server that was started anew goes on; null: none yet. */
      newestUs: z.nullable(count),
      /** There are more lines since then than were asked for. */
      earlier: z.boolean(),
      /** Nothing more comes. */
      done: z.boolean(),
      hosts: z.array(logHost),
    }),
  },
  /** Nobody reads any more. */
  "logs-end": { request: z.strictObject({ reading: z.uuid() }), answer: empty },
  /** What a removal of this host would do; changes nothing. */
  "host-removal": { request: z.strictObject({ host: hostName }), answer: hostRemoval },
  /** Starts the run that removes this host, or answers with the one that is under way. */
  "host-remove": {
    request: z.strictObject({ host: hostName, by: z.string().check(z.maxLength(64)) }),
    answer: z.strictObject({ runId: count, joined: z.boolean() }),
  },
  ...upgradeMethods,
  "host-forget-key": {
    /** A host, or the jump host with or without its port. */
    request: z.strictObject({ host: pinName }),
    answer: z.strictObject({ forgotten: z.nullable(z.string()) }),
  },
  /** What a client of the cloud needs to log in as its admin: the one call that gives a password away. */
  credentials: { request: z.strictObject({}), answer: credentials },
  "secret-set": {
    request: z.strictObject({ name: secretName, value: z.string().check(z.minLength(1), z.maxLength(4096)) }),
    answer: z.strictObject({ version: count }),
  },
} as const;

export type ApiMethod = keyof typeof apiMethods;
export type ApiRequest<M extends ApiMethod> = z.infer<(typeof apiMethods)[M]["request"]>;
export type ApiAnswer<M extends ApiMethod> = z.infer<(typeof apiMethods)[M]["answer"]>;

/**
 * What the server writes to `server.json` in its home (0600) once it serves; the command line reads where to
 * connect and with what.
 */
export const serverFile = z.strictObject({
  pid: count,
  version: z.string(),
  /** Of the bundle that runs: a command line that finds another one on disk starts the server anew. */
  build: z.string(),
  /** `tls://address:port`. */
  url: z.string(),
  /** PEM of the CA. */
  ca: z.string(),
  /** NATS seed of the user `operator`. */
  operatorSeed: z.string(),
});
export type ServerFile = z.infer<typeof serverFile>;
