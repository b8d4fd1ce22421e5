import { leadAnswer, type MemberHealth } from "@stackctl/protocol";
import { StackctlError } from "@stackctl/protocol";
import type { Store } from "../store/store.ts";
import type { Questions } from "./ask.ts";
import type { Fleet } from "./fleet.ts";

/** After a loss of power the members find each other by themselves, within seconds of the last one's start. */
const patienceMs = 45_000;
/** A member that was told has to start, and the others to come to it. */
const againMs = 120_000;
/** To stop a container may take its time. */
const answerMs = 120_000;

/** One member of the databases' cluster, as it is known now. */
export interface Waiting {
  readonly host: string;
  /** Null: its host does not answer, or has not said. */
  readonly health: Pick<MemberHealth, "ok" | "size" | "id" | "seqno"> | null;
}

/** Who is to begin when no member serves. */
export type Lead =
  /** Nobody need be told: some member serves or runs. */
  | { readonly kind: "none" }
  /** It is not known who has the newest data. */
  | { readonly kind: "unknown"; readonly why: string }
  | { readonly kind: "lead"; readonly host: string; readonly uuid: string; readonly seqno: number };

/**
 * Who begins when all members were stopped in order: they know that nobody was left, so each waits for another to begin.
 * It is the one with the newest data, by its number; of equals the first. Never guessed: while one is silent, or has data of
 * another cluster, it may have what the others lack. Pure.
 * @param members the first of equals first
 */
export function leadOf(members: readonly Waiting[], uuid: string | null): Lead {
  if (members.length === 0 || uuid === null) return { kind: "none" };
  // One that runs without the others gets them back by itself: Galera knows who was there last.
  if (members.some(({ health }) => health !== null && (health.ok || health.size > 0)))
    return { kind: "none" };
  const silent = members.find(({ health }) => health?.seqno === undefined);
  if (silent !== undefined)
    return { kind: "unknown", why: `${silent.host} has not said how far its data is` };
  const foreign = members.find(({ health }) => health?.id !== uuid);
  if (foreign !== undefined)
    return {
      kind: "unknown",
      why: `${foreign.host} has data of another cluster, ${foreign.health?.id ?? ""}`,
    };
  const numbers = members.map(({ host, health }) => ({ host, seqno: health?.seqno ?? 0 }));
  const newest = numbers.reduce((best, each) => (each.seqno > best.seqno ? each : best));
  return { kind: "lead", uuid, ...newest };
}

export interface GaleraLeadOptions {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly questions: Pick<Questions, "ask">;
  readonly log: (fields: Record<string, unknown>, message: string) => void;
  /** @default Date.now */
  readonly now?: () => number;
}

/** Lets the databases' cluster come back that was stopped as a whole. */
export class GaleraLead {
  readonly #options: GaleraLeadOptions;
  readonly #now: () => number;
  /** Since when nobody serves. */
  #sinceMs: number | null = null;
  #toldMs = 0;

  constructor(options: GaleraLeadOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Called about once a second. */
  tick(): void {
    const lead = this.#lead();
    if (lead.kind === "none") {
      this.#sinceMs = null;
      return;
    }
    const now = this.#now();
    this.#sinceMs ??= now;
    if (lead.kind !== "lead" || now - this.#sinceMs < patienceMs || now - this.#toldMs < againMs) return;
    this.#toldMs = now;
    void this.#tell(lead);
  }

  /** Why the cluster does not come back by itself; null: it serves, or will. */
  why(): string | null {
    const lead = this.#lead();
    return lead.kind === "unknown" ? `no member begins: ${lead.why}` : null;
  }

  #lead(): Lead {
    const { store, fleet } = this.#options;
    const primary = store.primary();
    const members = store
      .agents()
      .map(({ host }) => host)
      .filter((host) =>
        store.documents(host).some(({ body }) => body.resources.some(({ type }) => type === "galera-member")),
      )
      .toSorted((a, b) => Number(b === primary) - Number(a === primary))
      .map((host): Waiting => {
        const presence = fleet.presence(host);
        const said = presence?.state === "ok" ? presence.status?.members : undefined;
        return { host, health: said?.find(({ cluster }) => cluster === "galera") ?? null };
      });
    return leadOf(members, store.galera());
  }

  async #tell({ host, uuid, seqno }: Extract<Lead, { kind: "lead" }>): Promise<void> {
    const { store, questions, log } = this.#options;
    const note = (text: string): void => {
      store.addEvent({
        at: new Date().toISOString(),
        host,
        service: "mariadb",
        resource: null,
        type: "galera.led",
        text,
        run: null,
      });
    };
    try {
      const answer = await questions.ask(host, { kind: "galera-lead", uuid, seqno }, answerMs);
      const { problem } = leadAnswer.parse(answer);
      note(
        problem === null
          ? `no member served, and ${host} has the newest data (${String(seqno)}): it begins`
          : `no member serves; ${host} does not begin: ${problem}`,
      );
    } catch (error) {
      if (!(error instanceof StackctlError) || error.code !== "agent_unreachable") throw error;
      log({ host, err: error }, "not told to begin");
    }
  }
}
