import { holdsAnswer, StackctlError, type AgentHold, type HoldView } from "@stackctl/protocol";
import type { HoldRow, Store } from "../store/store.ts";
import type { Questions } from "./ask.ts";
import type { Fleet } from "./fleet.ts";

/** How long an agent may take to write its holds down. */
const answerMs = 5000;

export interface HoldsOptions {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly questions: Pick<Questions, "ask">;
  /** Services that come before this one on the same host. */
  readonly needs: (service: string) => readonly string[];
  readonly log: (fields: Record<string, unknown>, message: string) => void;
}

/**
 * What persons want left alone for a while: decided in the log, told to the agents until each has said that it knows, and
 * over by itself when its time is.
 */
export class Holds {
  readonly #options: HoldsOptions;
  /** What each host's agent is known to have, by host. */
  readonly #told = new Map<string, string>();
  readonly #telling = new Set<string>();

  constructor(options: HoldsOptions) {
    this.#options = options;
  }

  /** Holds a host, a service or (neither null) a service of a host; held already, it is held until the later of both times. */
  set(host: string | null, service: string | null, untilMs: number, why: string, by: string): HoldView {
    const { store } = this.#options;
    const before = this.active().find((hold) => hold.host === host && hold.service === service);
    const until = new Date(
      Math.max(untilMs, before === undefined ? 0 : Date.parse(before.until)),
    ).toISOString();
    store.decide(by, { type: "hold.set", host, service, until, why, by });
    const hold = { host, service, until, why, by };
    this.#note(hold, "hold.set", `left alone until ${clock(until)}, "${why}" (${by})`);
    this.tick();
    return viewOf(hold);
  }

  /** Ends a hold. @throws StackctlError `hold_unknown` naming those that are on */
  release(host: string | null, service: string | null, by: string): HoldView {
    const hold = this.active().find((each) => each.host === host && each.service === service);
    if (hold === undefined) {
      const on = this.active().map((each) => viewOf(each).target);
      throw new StackctlError("hold_unknown", `${targetOf({ host, service })} is not held`, {
        details: {
          found: on.length === 0 ? "nothing is held" : `held: ${on.join(", ")}`,
          remedy: on.length === 0 ? "stackctl status" : `stackctl release ${on[0] ?? ""}`,
        },
      });
    }
    this.#options.store.decide(by, { type: "hold.released", host, service });
    this.#note(hold, "hold.released", `released (${by})`);
    this.tick();
    return viewOf(hold);
  }

  /** Holds that are on, the first to end first. */
  active(): HoldRow[] {
    const now = Date.now();
    return this.#options.store.holds().filter(({ until }) => Date.parse(until) > now);
  }

  /** Holds that are on, as they are shown. */
  views(): HoldView[] {
    return this.active().map(viewOf);
  }

  /**
   * Why a run leaves a service of this host out, such as `held by root until 16:00, "checking a disk"`: it is held, or
   * something that comes before it on the host is. Null: it is not. Always begins with `held`.
   * @param service null: the host as a whole
   */
  why(host: string, service: string | null): string | null {
    const hold = this.covering(host, service);
    if (hold === null) return null;
    const needed =
      hold.service !== null && hold.service !== service ? `: it needs ${hold.service}, held` : "";
    return `held${needed} by ${hold.by} until ${clock(hold.until)}, "${hold.why}"`;
  }

  /** The hold that leaves a service of this host out; null: none. @param service null: the host as a whole */
  covering(host: string, service: string | null): HoldView | null {
    const active = this.active().filter((hold) => hold.host === null || hold.host === host);
    const visit = (name: string | null): HoldRow | null => {
      const own = active.find((hold) => hold.service === null || hold.service === name);
      if (own !== undefined || name === null) return own ?? null;
      for (const need of this.#options.needs(name)) {
        const found = visit(need);
        if (found !== null) return found;
      }
      return null;
    };
    const hold = visit(service);
    return hold === null ? null : viewOf(hold);
  }

  /** Tells agents what they are not known to have. Called about once a second and at any change. */
  tick(): void {
    const { store, fleet } = this.#options;
    for (const host of this.untold()) {
      if (this.#telling.has(host) || fleet.presence(host)?.state !== "ok") continue;
      const mark = this.#mark(host);
      this.#telling.add(host);
      void this.#tell(host, store.holdRevision())
        .then((told) => {
          if (told) this.#told.set(host, mark);
        })
        .finally(() => this.#telling.delete(host));
    }
  }

  /** Hosts whose agents are not known to have what is decided. */
  untold(): string[] {
    const { store } = this.#options;
    if (store.holdRevision() === 0) return [];
    return store
      .agents()
      .map(({ host }) => host)
      .filter((host) => this.#told.get(host) !== this.#mark(host));
  }

  /** Waits until every agent that is there was told, at most this long. @returns who was not */
  async settled(waitMs: number): Promise<string[]> {
    const until = Date.now() + waitMs;
    while (Date.now() < until) {
      this.tick();
      if (this.untold().every((host) => this.#options.fleet.presence(host)?.state !== "ok")) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return this.untold();
  }

  #mark(host: string): string {
    const { store } = this.#options;
    return `${String(store.agent(host)?.incarnation ?? 0)} ${String(store.holdRevision())}`;
  }

  async #tell(host: string, revision: number): Promise<boolean> {
    const { questions, log } = this.#options;
    const holds: AgentHold[] = this.active()
      .filter((hold) => hold.host === null || hold.host === host)
      .map(({ service, until }) => ({ service, untilMs: Date.parse(until) }));
    try {
      const answer = await questions.ask(host, { kind: "holds", revision, holds }, answerMs);
      return holdsAnswer.parse(answer).revision >= revision;
    } catch (error) {
      // It is told again at the next tick.
      if (!(error instanceof StackctlError) || error.code !== "agent_unreachable")
        log({ host, err: error }, "holds not told");
      return false;
    }
  }

  #note({ host, service }: HoldRow, type: string, text: string): void {
    const at = new Date().toISOString();
    const what = host === null ? `${service ?? ""} ` : "";
    this.#options.store.addEvent({
      at,
      host,
      service,
      resource: null,
      type,
      text: `${what}${text}`,
      run: null,
    });
  }
}

/** A hold as it is named to `release`. */
function targetOf({ host, service }: Pick<HoldRow, "host" | "service">): string {
  if (host === null) return service ?? "";
  return service === null ? host : `${service}@${host}`;
}

function viewOf(hold: HoldRow): HoldView {
  const { host, service, until, why, by } = hold;
  return { target: targetOf(hold), host, service, until, why, by };
}

/** Local time of day, with the date before it unless it is today. */
function clock(iso: string): string {
  const then = new Date(iso);
  const day = then.toLocaleDateString("sv-SE");
  const time = then.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  return day === new Date().toLocaleDateString("sv-SE") ? time : `${day} ${time}`;
}
