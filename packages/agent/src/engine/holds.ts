import type { AgentHold } from "@stackctl/protocol";
import type { AgentState } from "./state.ts";

/**
 * What a person wants left alone on this host. It is on disk, and ends by this host's own clock: also after a restart,
 * also when there is no server to end it.
 */
export class Holds {
  readonly #state: AgentState;
  readonly #now: () => number;
  #revision: number;
  #holds: readonly AgentHold[];

  constructor(state: AgentState, now: () => number = Date.now) {
    this.#state = state;
    this.#now = now;
    const { revision, holds } = state.holds();
    this.#revision = revision;
    this.#holds = holds;
  }

  /** Of the list that is in force. */
  get revision(): number {
    return this.#revision;
  }

  /** Takes a list in place of the former one; an older list changes nothing. */
  set(revision: number, holds: readonly AgentHold[]): void {
    if (revision < this.#revision) return;
    this.#state.keepHolds({ revision, holds });
    this.#revision = revision;
    this.#holds = holds;
  }

  /** True while the service is to be left alone. */
  covers(service: string): boolean {
    const now = this.#now();
    return this.#holds.some((hold) => hold.untilMs > now && (hold.service ?? service) === service);
  }

  /** Drops what is over. @returns true when anything was */
  prune(): boolean {
    const left = this.#holds.filter(({ untilMs }) => untilMs > this.#now());
    if (left.length === this.#holds.length) return false;
    this.set(this.#revision, left);
    return true;
  }

  /** When the next one ends, Unix milliseconds; infinite: none is on. */
  nextEndMs(): number {
    return Math.min(...this.#holds.map(({ untilMs }) => untilMs));
  }
}
