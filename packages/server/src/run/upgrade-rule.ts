import { confirmSeconds, type AgentStatus, type Role } from "@stackctl/protocol";
import type { HeldBefore } from "../store/changes.ts";

/** A new agent is well once it was heard for this long by one process, in more than one heartbeat. */
export const wellAfterMs = 5000;
const wellBeats = 3;
/** After its time to be confirmed a host needs this long to go back and be heard again, at most. */
const goBackMs = 25_000;

/** The host that goes first: a compute if there is one, never the primary. Null: only the primary is left. Pure. */
export function canaryOf(
  hosts: readonly { readonly name: string; readonly role: Role }[],
  primary: string | null,
): string | null {
  const others = hosts.filter(({ name }) => name !== primary);
  return (others.find(({ role }) => role === "compute") ?? others[0])?.name ?? null;
}

/** What was heard of a host since it was told to run another release. */
export interface Heard {
  /** When it was told, Unix milliseconds. */
  readonly toldMs: number;
  /** The process that was told, by its start; null: not known, for a former life of the server told it. */
  readonly toldProcess: number | null;
  /** What it held then. */
  readonly before: HeldBefore;
  /** The process that runs the release: its start, when it was first heard, and how often; null: none is heard now. */
  readonly process: { readonly startedAtMs: number; readonly sinceMs: number; readonly beats: number } | null;
  /** How many processes of the release were heard. */
  readonly processes: number;
  /** Services whose documents the release did not hold when it was last heard. */
  readonly gone: readonly string[];
  /** Heartbeats of another release: the last one from before it was told counts, and one on its way. */
  readonly otherBeats: number;
  /** The newest heartbeat, whatever it runs. */
  readonly status: AgentStatus | null;
  /** Why it was not confirmed though it was asked to; null: it was not asked. */
  readonly unconfirmed: string | null;
}

/** A host that was just told. */
export function told(toldMs: number, toldProcess: number | null, before: HeldBefore): Heard {
  const nothing = { process: null, processes: 0, gone: [], otherBeats: 0, status: null, unconfirmed: null };
  return { toldMs, toldProcess, before, ...nothing };
}

/** What is known after a heartbeat; the same one again changes nothing. Pure. */
export function hear(heard: Heard, release: string, status: AgentStatus, nowMs: number): Heard {
  if (status === heard.status) return heard;
  if (status.release !== release)
    return { ...heard, status, process: null, otherBeats: heard.otherBeats + 1 };
  const { startedAtMs } = status;
  const known = heard.process?.startedAtMs === startedAtMs ? heard.process : null;
  return {
    ...heard,
    status,
    gone: lost(heard.before, status),
    process: {
      startedAtMs,
      sinceMs: known?.sinceMs ?? nowMs,
      beats: (known?.beats ?? 0) + 1,
    },
    processes: heard.processes + (known === null ? 1 : 0),
  };
}

/** What is to be done about a host that was told to run a release. */
export type Verdict =
  | { readonly is: "waiting"; readonly text: string }
  /** It is to be confirmed. */
  | { readonly is: "well" }
  /** It runs its former release again, or nothing at all. */
  | { readonly is: "bad"; readonly why: string };

/** Judges a host by what was heard of it. Pure. */
export function judge(heard: Heard, host: string, release: string, nowMs: number): Verdict {
  const { status, process } = heard;
  const isBack =
    status !== null &&
    status.release !== release &&
    (heard.toldProcess === null ? heard.processes > 0 : status.startedAtMs !== heard.toldProcess);
  if (isBack)
    return {
      is: "bad",
      why: `${fault(heard, host, release)}; it went back to ${status.release ?? "the former release"}`,
    };
  if (nowMs > heard.toldMs + confirmSeconds * 1000 + goBackMs) {
    const why =
      process !== null
        ? `${fault(heard, host, release)}, and the host did not go back`
        : heard.otherBeats > 2
          ? `the agent on ${host} was not restarted`
          : `${host} is silent since it was to start ${release}; it goes back by itself when it is up`;
    return { is: "bad", why };
  }
  if (process === null) return { is: "waiting", text: `starting ${release}` };
  if (heard.gone.length > 0) return { is: "waiting", text: "reading its documents" };
  if (process.beats < wellBeats || nowMs - process.sinceMs < wellAfterMs)
    return { is: "waiting", text: `watching ${release}` };
  return { is: "well" };
}

/** What was wrong with the release on this host, as far as it was seen. */
function fault(heard: Heard, host: string, release: string): string {
  const limit = `${String(confirmSeconds)} s`;
  if (heard.processes === 0) return `the agent on ${host} did not connect with ${release} within ${limit}`;
  if (heard.unconfirmed !== null) return `the agent on ${host} ran ${release} but ${heard.unconfirmed}`;
  if (heard.processes > 1) return `the agent on ${host} ended again and again with ${release}`;
  if (heard.gone.length > 0)
    return `the agent on ${host} lost documents with ${release}: ${heard.gone.join(", ")}`;
  return `the agent on ${host} did not stay up with ${release} for ${String(wellAfterMs / 1000)} s within ${limit}`;
}

/** Services whose documents were held before and are not any more, nor newer ones. */
function lost(before: HeldBefore, status: AgentStatus): string[] {
  return before
    .filter(({ service, epoch, seq, digest }) => {
      const now = status.documents.find((each) => each.service === service);
      if (now === undefined) return true;
      const age = now.epoch - epoch || now.seq - seq;
      return age < 0 || (age === 0 && now.digest !== digest);
    })
    .map(({ service }) => service);
}
