import * as z from "zod/mini";
import { documentBody } from "../document.ts";
import { aptProxySpec } from "../resources/apt-proxy.ts";
import { mirrorUrl } from "../resources/apt-repository.ts";
import { galeraUuid } from "../resources/galera-data.ts";
import { sealedSecret } from "../seal.ts";
import { facts } from "../facts/facts.ts";
import { maxLogLines } from "../log-lines.ts";
import { clusterName, serviceName } from "../names.ts";
import { change, resourceOutcome } from "../outcome.ts";
import { pruneRequest } from "./prune.ts";
import { releaseRequests } from "./upgrade.ts";

/** How long a request may be acted on after it was issued. */
export const requestLifeSeconds = 30;

/** How packages are to be reached, as it is handed to the child that tries: over its standard input only. */
export const packagesWay = z.strictObject({
  url: mirrorUrl,
  /** With credentials; null: whatever the host uses. */
  proxy: z.nullable(z.string()),
});
export type PackagesWay = z.infer<typeof packagesWay>;

/** Names that a host should be able to resolve. They become arguments of a command, so none may look like an option. */
const namesToResolve = z
  .array(z.string().check(z.regex(/^[A-Za-z0-9][A-Za-z0-9.:-]{0,252}$/)))
  .check(z.maxLength(40));

/** What the child that reads the facts is told, over its standard input. */
export const factsOrder = z.strictObject({ packages: packagesWay, names: namesToResolve });
export type FactsOrder = z.infer<typeof factsOrder>;

/** One thing that is left alone: a service of the host, or (null) the whole host. */
export const agentHold = z.strictObject({
  service: z.nullable(serviceName),
  /** Unix milliseconds. */
  untilMs: z.number(),
});
export type AgentHold = z.infer<typeof agentHold>;

/** What the server may ask an agent now. The closed list: no other way into a host exists. */
export const agentRequest = z.discriminatedUnion("kind", [
  /** Who are you; answered by {@link pingAnswer}. */
  z.strictObject({ kind: z.literal("ping") }),
  /** What would these documents change; changes nothing; answered by {@link planAnswer}. */
  z.strictObject({ kind: z.literal("plan"), documents: z.array(documentBody).check(z.maxLength(100)) }),
  /** The leave that a `permit.wanted` asked for; answered by {@link permitAnswer}, once it is on the agent's disk. */
  z.strictObject({
    kind: z.literal("permit"),
    cluster: clusterName,
    /** Of the wish: a permit that comes late is for a wish that is over, and is worth nothing. */
    wish: z.uuid(),
    /** Unix milliseconds: what is not begun by then is not begun, but asked for anew. What was begun is ended. */
    untilMs: z.number(),
  }),
  /**
   * All that is to be left alone on this host from now on, in place of what was said before; answered by
   * {@link holdsAnswer}, once it is on the agent's disk. It ends by the agent's own clock, also without the server.
   */
  z.strictObject({
    kind: z.literal("holds"),
    /** Only ever grows; an older list that comes late changes nothing. */
    revision: z.int().check(z.nonnegative()),
    holds: z.array(agentHold).check(z.maxLength(200)),
  }),
  /**
   * A person wants this resource made true now, however often it was put back before; answered by
   * {@link repairAnswer} once it is, or is known not to be.
   */
  z.strictObject({
    kind: z.literal("repair"),
    service: serviceName,
    id: z.string().check(z.maxLength(200)),
    by: z.string().check(z.maxLength(64)),
  }),
  pruneRequest,
  /**
   * No member of the databases' cluster serves, and of all of them this one has the newest data: begin with it. Answered by
   * {@link leadAnswer}.
   */
  z.strictObject({
    kind: z.literal("galera-lead"),
    uuid: galeraUuid,
    /** What it is known to have; one that has something else by now does nothing. */
    seqno: z.int().check(z.nonnegative()),
  }),
  /**
   * Read the log of a service; answered by {@link logsAnswer}, the lines come as {@link logBatch}. Asked again of the same
   * reading, it goes on for another {@link logLeaseSeconds}; an agent that was started anew begins it again.
   */
  z.strictObject({
    kind: z.literal("logs"),
    reading: z.uuid(),
    /** A service, one of its containers or units, or the agent: see {@link logSources}. */
    service: serviceName,
    /** How many of the last lines; one more than a person may ask for, to know whether there are earlier ones. */
    lines: z.int().check(z.minimum(0), z.maximum(maxLogLines + 1)),
    /** None before this, Unix microseconds; null: however old. */
    sinceUs: z.nullable(z.int().check(z.nonnegative())),
    follow: z.boolean(),
  }),
  /** Nobody reads any more; answered by {@link logsAnswer}. */
  z.strictObject({ kind: z.literal("logs-end"), reading: z.uuid() }),
  /**
   * Take yourself away, for good; answered by {@link leaveAnswer}. What the host then hears of is the event `agent.left`:
   * once that has arrived, the agent goes without being asked again, whatever ends in between.
   */
  z.strictObject({ kind: z.literal("leave") }),
  ...releaseRequests,
  /** What are you; answered by {@link factsAnswer}. */
  z.strictObject({
    kind: z.literal("facts"),
    names: namesToResolve,
    packages: z.strictObject({
      /** A file to fetch the way apt would, to prove mirror and proxy before they are applied. */
      url: mirrorUrl,
      /** The proxy that the cloud's file names; null: whatever the host uses. */
      proxy: z.nullable(aptProxySpec),
      sealed: z.array(sealedSecret).check(z.maxLength(4)),
    }),
  }),
]);
export type AgentRequest = z.infer<typeof agentRequest>;

export const pingAnswer = z.strictObject({ version: z.string(), bootId: z.uuid(), timeMs: z.number() });
export type PingAnswer = z.infer<typeof pingAnswer>;

export const leadAnswer = z.strictObject({
  /** Why it does not begin; null: it does. */
  problem: z.nullable(z.string().check(z.maxLength(500))),
});
export type LeadAnswer = z.infer<typeof leadAnswer>;

export const permitAnswer = z.strictObject({
  /** False: the wish is over. */
  taken: z.boolean(),
});
export type PermitAnswer = z.infer<typeof permitAnswer>;

export const holdsAnswer = z.strictObject({
  /** Of the list that is in force now. */
  revision: z.int(),
});
export type HoldsAnswer = z.infer<typeof holdsAnswer>;

export const leaveAnswer = z.strictObject({
  /** Services of which something is here still; while there are any, the agent stays. */
  left: z.array(serviceName),
});
export type LeaveAnswer = z.infer<typeof leaveAnswer>;

export const repairAnswer = z.strictObject({
  /** `skipped`: it could not be begun now, `why` says what it waits for. */
  outcome: z.enum(["unchanged", "changed", "skipped", "failed"]),
  why: z.nullable(z.string().check(z.maxLength(2000))),
  changes: z.array(change).check(z.maxLength(100)),
});
export type RepairAnswer = z.infer<typeof repairAnswer>;

export const logsAnswer = z.strictObject({
  /** `unknown`: the host has nothing of that name. `busy`: as many readings as it takes are under way. */
  state: z.enum(["reading", "ended", "unknown", "busy"]),
});
export type LogsAnswer = z.infer<typeof logsAnswer>;

export const planAnswer = z.strictObject({
  services: z.array(
    z.strictObject({
      service: serviceName,
      /** True when the agent already holds a document of exactly this digest. */
      held: z.boolean(),
      resources: z.array(resourceOutcome),
    }),
  ),
});
export type PlanAnswer = z.infer<typeof planAnswer>;

export const factsAnswer = z.strictObject({
  facts,
  /** Null: the packages were reached; else why not. */
  packagesProblem: z.nullable(z.string()),
});
export type FactsAnswer = z.infer<typeof factsAnswer>;
