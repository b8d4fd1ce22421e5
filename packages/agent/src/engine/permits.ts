import { randomUUID } from "node:crypto";
import type { AgentEvent } from "@stackctl/protocol";
import type { AgentState, KeptPermit } from "./state.ts";

/**
 * The agent's side of permits: nothing that takes a member of a cluster down is begun without the server's leave, in a
 * run as in a repair. On disk, so that whoever was killed in the middle finds its permit again. Nothing here ever lets
 * time decide that something may be done: a permit that was not begun in time is given back and asked for anew, and one
 * that was begun stays until its resource was seen to be true.
 */
export class Permits {
  readonly #state: AgentState;
  readonly #emit: (event: AgentEvent) => void;
  readonly #now: () => number;
  #kept: readonly KeptPermit[];

  constructor(state: AgentState, emit: (event: AgentEvent) => void, now: () => number = Date.now) {
    this.#state = state;
    this.#emit = emit;
    this.#now = now;
    this.#kept = state.permits();
  }

  /** Says again what the server may not have heard: called at the start, and now and then while something is waited for. */
  remind(): void {
    for (const permit of this.#kept) {
      if (permit.state === "wanted") this.#ask(permit);
      else if (permit.state === "returned") this.#giveBack(permit);
    }
  }

  /** True when the resource may take its member down now; if not, the permit is asked for and comes later. */
  leave(cluster: string, service: string, id: string): boolean {
    const known = this.#find(service, id);
    if (known !== undefined && known.cluster !== cluster) this.done(service, id);
    else if (known !== undefined) {
      if (known.state === "begun") return true;
      if (known.state === "wanted") return false;
      if (known.state === "held" && known.untilMs >= this.#now()) {
        this.#replace(known, { ...known, state: "begun" });
        return true;
      }
      this.done(service, id);
    }
    const wish: KeptPermit = { wish: randomUUID(), cluster, service, id, state: "wanted", untilMs: 0 };
    this.#keep([...this.#kept, wish]);
    this.#ask(wish);
    return false;
  }

  /** The server's leave has come. @returns whose it is; null: the wish is over */
  take(wish: string, untilMs: number): { readonly service: string; readonly id: string } | null {
    const known = this.#kept.find((permit) => permit.wish === wish);
    if (known === undefined || known.state === "returned") return null;
    if (known.state !== "begun") this.#replace(known, { ...known, state: "held", untilMs });
    return known;
  }

  /** The resource is true, or is not to be made true any more: whatever was wanted or held for it goes back. */
  done(service: string, id: string): void {
    const known = this.#find(service, id);
    if (known !== undefined) this.#giveBack(known);
  }

  /** The service is to be left alone: what was not begun for it is not wanted any more. */
  withdraw(service: string): void {
    for (const permit of this.#kept)
      if (permit.service === service && permit.state !== "begun") this.#giveBack(permit);
  }

  /** Gives back what was not begun in time. */
  expire(): void {
    for (const permit of this.#kept)
      if (permit.state === "held" && permit.untilMs < this.#now()) this.#giveBack(permit);
  }

  #find(service: string, id: string): KeptPermit | undefined {
    return this.#kept.find((permit) => permit.service === service && permit.id === id);
  }

  #ask({ cluster, service, id, wish }: KeptPermit): void {
    this.#emit({ type: "permit.wanted", cluster, service, id, wish });
  }

  /**
   * First it is on disk that the permit is not ours any more, then the server is told: killed in between, it is told
   * again. The other way round two could have it.
   */
  #giveBack(permit: KeptPermit): void {
    this.#replace(permit, { ...permit, state: "returned" });
    this.#emit({ type: "permit.returned", cluster: permit.cluster, wish: permit.wish });
    this.#keep(this.#kept.filter(({ wish }) => wish !== permit.wish));
  }

  #replace(permit: KeptPermit, by: KeptPermit): void {
    this.#keep(this.#kept.map((each) => (each.wish === permit.wish ? by : each)));
  }

  #keep(permits: readonly KeptPermit[]): void {
    this.#state.keepPermits(permits);
    this.#kept = permits;
  }
}
