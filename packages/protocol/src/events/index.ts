import * as z from "zod/mini";
import { cause } from "../cause.ts";
import { clusterName, hostName, serviceName } from "../names.ts";
import { change, outcome, resourceOutcome } from "../outcome.ts";

const text = z.string().check(z.maxLength(2000));
const id = z.string().check(z.maxLength(200));

/** The header of everything that an agent says. `n` only ever grows per incarnation and kind. */
export const eventHeader = z.strictObject({
  v: z.literal(1),
  kind: z.enum(["result", "status", "lines"]),
  cluster: z.uuid(),
  agent: hostName,
  incarnation: z.int().check(z.positive()),
  n: z.int().check(z.positive()),
  /** The agent's own clock. */
  at: z.iso.datetime(),
});
export type EventHeader = z.infer<typeof eventHeader>;

/** An immutable fact that an agent reports, past tense. Sent again until the server's stream has it. */
export const agentEvent = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("agent.started"), version: text, bootId: z.uuid() }),
  /** One document is done with, well or not; the gates and the run wait for this. */
  z.strictObject({
    type: z.literal("document.applied"),
    service: serviceName,
    epoch: z.int(),
    seq: z.int(),
    digest: z.string(),
    outcome,
    seconds: z.number(),
    resources: z.array(resourceOutcome).check(z.maxLength(1000)),
    cause,
  }),
  /** A document or request was not accepted; nothing was done. */
  z.strictObject({ type: z.literal("message.refused"), subject: text, why: text }),
  /** Observed differs though the document did not change. */
  z.strictObject({
    type: z.literal("resource.drifted"),
    service: serviceName,
    id,
    changes: z.array(change),
    cause,
  }),
  /** A drift was put back. */
  z.strictObject({
    type: z.literal("resource.repaired"),
    service: serviceName,
    id,
    changes: z.array(change),
    seconds: z.number(),
    cause,
  }),
  /** A drift could not be put back, or is left alone because it came back too often. */
  z.strictObject({ type: z.literal("repair.failed"), service: serviceName, id, why: text }),
  /**
   * Making this resource true takes a member of the cluster down: the agent waits for the server's leave. Said again
   * of the same wish, it means the same. A wish ends with `permit.returned` and is never used twice.
   */
  z.strictObject({
    type: z.literal("permit.wanted"),
    cluster: clusterName,
    service: serviceName,
    id,
    wish: z.uuid(),
  }),
  /** The permit is not needed any more: the member is up again and was seen to be, or it was never taken down. */
  z.strictObject({ type: z.literal("permit.returned"), cluster: clusterName, wish: z.uuid() }),
  /** The agent takes itself away now, for good: all that was made here went before, but for the data that is kept. */
  z.strictObject({ type: z.literal("agent.left"), kept: z.array(text).check(z.maxLength(50)) }),
  /** The host goes down now and comes back by itself. */
  z.strictObject({ type: z.literal("host.rebooting"), service: serviceName, cause }),
  /** A piece of the answer to a request; the pieces' bodies joined are one JSON value. */
  z.strictObject({
    type: z.literal("request.answered"),
    requestId: z.uuid(),
    piece: z.int(),
    pieces: z.int(),
    body: z.string(),
  }),
]);
export type AgentEvent = z.infer<typeof agentEvent>;

/** How one member of a cluster is, in the cluster's own words. */
export const memberHealth = z.strictObject({
  cluster: clusterName,
  /** Such as `Synced`. */
  state: z.string().check(z.maxLength(100)),
  /** How many members it sees, itself too. */
  size: z.int().check(z.nonnegative()),
  /** Which cluster it is of; null: it does not say. */
  id: z.nullable(z.string().check(z.maxLength(100))),
  /** It does its work. */
  ok: z.boolean(),
  /** How far its data is, of one that waits for others to begin; the higher the newer. */
  seqno: z.optional(z.int().check(z.nonnegative())),
});
export type MemberHealth = z.infer<typeof memberHealth>;

/** An agent's heartbeat: all that it has, so that losing any number of them loses nothing. */
export const agentStatus = z.strictObject({
  version: text,
  /** The release that it runs; missing: it is from before agents told, or in no release's folder. */
  release: z.optional(text),
  bootId: z.uuid(),
  /** Unix time of the agent's process start, milliseconds. */
  startedAtMs: z.number(),
  uptimeSeconds: z.number(),
  residentMiB: z.number(),
  /** What it does now, for the live progress, such as `installing chrony`; null: it rests. */
  doing: z.nullable(text),
  documents: z
    .array(
      z.strictObject({
        service: serviceName,
        epoch: z.int(),
        seq: z.int(),
        digest: z.string(),
        /** Null: not yet converged since it was accepted. */
        outcome: z.nullable(outcome),
        /** Ids of resources that differ now. */
        drifted: z.array(id).check(z.maxLength(500)),
      }),
    )
    .check(z.maxLength(100)),
  /** Services of which something is here still, though there is no document of them: a former enrolment's. */
  left: z.optional(z.array(serviceName).check(z.maxLength(100))),
  /** Data of what left the cloud that is here still, such as `directory/registry-data: /var/lib/stackctl/registry`. */
  kept: z.optional(z.array(text).check(z.maxLength(50))),
  /** The members of clusters on this host, as they themselves say, of the last few seconds. */
  members: z.optional(z.array(memberHealth).check(z.maxLength(20))),
});
export type AgentStatus = z.infer<typeof agentStatus>;

/** Seconds between two heartbeats; a host is silent after three missed ones. */
export const statusEverySeconds = 3;
