import { EventEmitter } from "node:events";
import { statusEverySeconds, type AgentStatus } from "@stackctl/protocol";

/** After three missed heartbeats and a little, a host is silent. */
export const silentAfterMs = 3 * statusEverySeconds * 1000 + 1000;

/** What the server knows of one enrolled host right now. */
export interface Presence {
  /** `ok`: heard lately. `rebooting`: it said so and is not back. `absent`: silent for longer than the cloud allows. */
  readonly state: "ok" | "silent" | "absent" | "rebooting";
  /** When the state began, Unix milliseconds. */
  readonly sinceMs: number;
  readonly status: AgentStatus | null;
}

interface Entry {
  /** Of the last heartbeat; 0: never heard by this server. */
  heardMs: number;
  /** When this server began to listen for it: silence before that is nobody's fault. */
  listeningMs: number;
  rebootingMs: number | null;
  state: Presence["state"];
  sinceMs: number;
  status: AgentStatus | null;
}

/** A host's presence changed. */
export interface PresenceChange {
  readonly host: string;
  readonly from: Presence["state"];
  readonly to: Presence["state"];
  /** How long the former state lasted. */
  readonly afterMs: number;
}

/**
 * Who is there. Fed with heartbeats and with time; says when a host falls silent, counts as absent, or returns.
 * Holds no truth that a heartbeat could not restore.
 */
export class Fleet {
  readonly #entries = new Map<string, Entry>();
  readonly #emitter = new EventEmitter<{ change: [PresenceChange]; news: [string] }>();
  readonly #now: () => number;
  #absentAfterMs: number;

  constructor(absentAfterMs: number, now: () => number = Date.now) {
    this.#absentAfterMs = absentAfterMs;
    this.#now = now;
    this.#emitter.setMaxListeners(0);
  }

  setAbsentAfter(ms: number): void {
    this.#absentAfterMs = ms;
  }

  /**
   * Begins to listen for a host, with what was last known of it. Said again of a host that is known, its silence so far
   * does not count: its agent was just started.
   */
  add(host: string, lastStatus: AgentStatus | null, lastHeardMs: number): void {
    const known = this.#entries.get(host);
    if (known !== undefined) {
      known.listeningMs = this.#now();
      if (known.state === "absent") this.#set(host, known, "silent");
      return;
    }
    const now = this.#now();
    this.#entries.set(host, {
      heardMs: lastHeardMs,
      listeningMs: now,
      rebootingMs: null,
      state: "silent",
      sinceMs: lastHeardMs === 0 ? now : lastHeardMs,
      status: lastStatus,
    });
  }

  /** The host is none of ours any more. */
  remove(host: string): void {
    this.#entries.delete(host);
    this.#emitter.emit("news", host);
  }

  /** Takes in a heartbeat that was accepted. */
  heard(host: string, status: AgentStatus): void {
    const entry = this.#entries.get(host);
    if (entry === undefined) return;
    const rebooting = entry.rebootingMs !== null && entry.status?.bootId === status.bootId;
    entry.heardMs = this.#now();
    entry.status = status;
    if (!rebooting) {
      entry.rebootingMs = null;
      this.#set(host, entry, "ok");
    }
    this.#emitter.emit("news", host);
  }

  /** The agent was asked and is not there, though its last heartbeat is not long ago. */
  lost(host: string): void {
    const entry = this.#entries.get(host);
    if (entry?.state === "ok") this.#set(host, entry, "silent");
  }

  /** The agent said that its host goes down now. */
  rebooting(host: string): void {
    const entry = this.#entries.get(host);
    if (entry === undefined) return;
    entry.rebootingMs = this.#now();
    this.#set(host, entry, "rebooting");
  }

  /** Something about this host was recorded: waiters look again. */
  news(host: string): void {
    this.#emitter.emit("news", host);
  }

  presence(host: string): Presence | null {
    const entry = this.#entries.get(host);
    return entry === undefined ? null : { state: entry.state, sinceMs: entry.sinceMs, status: entry.status };
  }

  /** Judges silence; called about once a second. */
  tick(): void {
    const now = this.#now();
    for (const [host, entry] of this.#entries) {
      const quietSince = Math.max(entry.heardMs, entry.listeningMs);
      const quietMs = now - quietSince;
      if (quietMs >= this.#absentAfterMs) this.#set(host, entry, "absent");
      else if (quietMs >= silentAfterMs && entry.state === "ok") this.#set(host, entry, "silent");
    }
  }

  onChange(handler: (change: PresenceChange) => void): void {
    this.#emitter.on("change", handler);
  }

  /** Calls back whenever something about the host may have changed. @returns how to stop that */
  onNews(host: string, handler: () => void): () => void {
    const listener = (about: string): void => {
      if (about === host) handler();
    };
    this.#emitter.on("news", listener);
    return () => this.#emitter.off("news", listener);
  }

  #set(host: string, entry: Entry, to: Presence["state"]): void {
    const from = entry.state;
    if (from === to) return;
    const now = this.#now();
    const afterMs = now - entry.sinceMs;
    entry.state = to;
    // A host is silent since it was last heard, not since we noticed; absence goes on from there.
    if (to === "silent") entry.sinceMs = entry.heardMs;
    else if (to !== "absent") entry.sinceMs = now;
    this.#emitter.emit("change", { host, from, to, afterMs });
    this.#emitter.emit("news", host);
  }
}
