import {
  clusterOf,
  permitAnswer,
  resourceId,
  StackctlError,
  type AgentEvent,
  type Resource,
} from "@stackctl/protocol";
import type { PermitRow, Store } from "../store/store.ts";
import type { Questions } from "./ask.ts";
import type { Fleet } from "./fleet.ts";
import { blocked, due } from "./permit-rule.ts";

/** What is not begun by then is asked for anew: a host that slept over it must not wake up into another world. */
const beginWithinMs = 120_000;
/** How long an agent may take to write a permit down. */
const answerMs = 5000;

export interface PermitsOptions {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly questions: Pick<Questions, "ask">;
  readonly log: (fields: Record<string, unknown>, message: string) => void;
  /** @default clusterOf */
  readonly clusterOf?: (resource: Resource) => string | null;
}

/**
 * Gives the permits of clusters out, one per cluster at a time, by the rule of `permit-rule.ts`. What counts is in the log
 * of decisions before anybody is told; whom it does not know to have been told, it tells again.
 */
export class Permits {
  readonly #options: PermitsOptions;
  readonly #clusterOf: (resource: Resource) => string | null;
  /** Wishes whose holder has said that it has the permit. */
  readonly #told = new Set<string>();
  readonly #telling = new Set<string>();

  constructor(options: PermitsOptions) {
    this.#options = options;
    this.#clusterOf = options.clusterOf ?? clusterOf;
  }

  /** What an agent said of a permit; decided before it returns. Safe to be called again with the same event. */
  heard(host: string, event: Extract<AgentEvent, { type: "permit.wanted" | "permit.returned" }>): void {
    const { store, log } = this.#options;
    const known = store.permits().find(({ wish }) => wish === event.wish);
    if (known !== undefined && known.host !== host) {
      log({ host, wish: event.wish }, "permit of another host named");
      return;
    }
    if (event.type === "permit.returned") {
      if (known !== undefined) this.#return(known);
    } else if (known === undefined) {
      const { cluster, service, id, wish } = event;
      if (!this.#mayAsk(host, event)) {
        log({ host, cluster, service, id }, "permit of a cluster asked for that the host is no member of");
        return;
      }
      store.decide("server", { type: "permit.wanted", wish, cluster, host, service, resource: id });
      this.#note(host, service, id, "permit.wanted", `asked for the permit of ${cluster}`);
    } else this.#told.delete(event.wish);
    this.tick();
  }

  /** Gives what can be given now, and tells whoever was not told yet. Called about once a second and at any news. */
  tick(): void {
    const { store } = this.#options;
    for (const wish of due(store.permits(), (cluster, asks) => this.#away(cluster, asks))) {
      const row = store.permits().find((each) => each.wish === wish.wish);
      if (row === undefined) continue;
      store.decide("server", { type: "permit.given", wish: row.wish });
      this.#note(row.host, row.service, row.resource, "permit.given", `has the permit of ${row.cluster}`);
    }
    for (const row of store.permits()) {
      if (row.givenAt === null || this.#told.has(row.wish) || this.#telling.has(row.wish)) continue;
      // Nobody is told to go down while another member is away, were it given as long ago as it may.
      if (this.#away(row.cluster, row.host).length > 0) continue;
      this.#telling.add(row.wish);
      void this.#tell(row).finally(() => this.#telling.delete(row.wish));
    }
  }

  /** What this host waits for, in words, such as `waits for the permit of docker: controller2 has it since 14:02:11`. */
  waiting(host: string, service?: string): string | null {
    const rows = this.#options.store.permits();
    for (const row of rows) {
      if (row.host !== host || (service !== undefined && row.service !== service)) continue;
      if (row.givenAt !== null && this.#told.has(row.wish)) continue;
      const why = blocked(row, rows, (cluster, asks) => this.#away(cluster, asks));
      if (why === null) continue;
      const what = {
        held: () => `${why.host} has it since ${why.why === "held" ? clock(Date.parse(why.since)) : ""}`,
        queue: () => `${why.host} asked before`,
        away: () => this.#awayText(why.host, row.cluster),
      }[why.why]();
      return `waits for the permit of ${row.cluster}: ${what}`;
    }
    return null;
  }

  /** Members of a cluster that are not there now, or say that they are not well; who asks may be unwell: it is to be mended. */
  #away(cluster: string, asks: string): string[] {
    return this.#members(cluster).filter((host) => {
      const presence = this.#options.fleet.presence(host);
      return presence?.state !== "ok" || (host !== asks && this.#ill(host, cluster) !== null);
    });
  }

  /** What a member says that does not do its work; null: it does, or says nothing. */
  #ill(host: string, cluster: string): string | null {
    const members = this.#options.fleet.presence(host)?.status?.members ?? [];
    return members.find((member) => member.cluster === cluster && !member.ok)?.state ?? null;
  }

  /**
   * Hosts whose documents hold a resource of the cluster and that have reported such a document at least once: what was
   * never made cannot be taken down. A host that was enrolled anew counts at once, for it may still run the old one.
   */
  #members(cluster: string): string[] {
    const { store } = this.#options;
    return store
      .agents()
      .map(({ host }) => host)
      .filter((host) =>
        store
          .documents(host)
          .some(
            ({ service, body }) =>
              body.resources.some((resource) => this.#clusterOf(resource) === cluster) &&
              store.applied(host, service) !== null,
          ),
      );
  }

  /** A host may ask for the clusters of its resources, and for what its document does not name any more. */
  #mayAsk(host: string, { cluster, service, id }: Extract<AgentEvent, { type: "permit.wanted" }>): boolean {
    const document = this.#options.store.document(host, service);
    if (document === null) return false;
    const named = document.body.resources.find((resource) => resourceId(resource) === id);
    return named === undefined || this.#clusterOf(named) === cluster;
  }

  async #tell(row: PermitRow): Promise<void> {
    const { questions, store, log } = this.#options;
    const untilMs = Date.now() + beginWithinMs;
    try {
      const answer = await questions.ask(
        row.host,
        { kind: "permit", cluster: row.cluster, wish: row.wish, untilMs },
        answerMs,
      );
      const { taken } = permitAnswer.parse(answer);
      if (taken) this.#told.add(row.wish);
      else {
        const now = store.permits().find(({ wish }) => wish === row.wish);
        if (now !== undefined) this.#return(now);
      }
    } catch (error) {
      // It is told again at the next tick.
      if (!(error instanceof StackctlError) || error.code !== "agent_unreachable")
        log({ host: row.host, cluster: row.cluster, err: error }, "permit not told");
    }
  }

  #return(row: PermitRow): void {
    this.#told.delete(row.wish);
    this.#options.store.decide("server", { type: "permit.returned", wish: row.wish });
    const text =
      row.givenAt === null
        ? `does not need the permit of ${row.cluster} any more`
        : `gave the permit of ${row.cluster} back`;
    this.#note(row.host, row.service, row.resource, "permit.returned", text);
  }

  #awayText(host: string, cluster: string): string {
    const presence = this.#options.fleet.presence(host);
    const ill = this.#ill(host, cluster);
    if (presence?.state === "ok" && ill !== null) return `${cluster} of ${host} is ${ill}`;
    const what = presence?.state === "rebooting" ? "reboots" : "is off";
    return presence === null || presence.sinceMs === 0
      ? `${host} ${what}`
      : `${host} ${what} since ${clock(presence.sinceMs)}`;
  }

  #note(host: string, service: string, resource: string, type: string, text: string): void {
    const at = new Date().toISOString();
    this.#options.store.addEvent({ at, host, service, resource, type, text, run: null });
  }
}

function clock(ms: number): string {
  return new Date(ms).toLocaleTimeString("en-GB");
}
