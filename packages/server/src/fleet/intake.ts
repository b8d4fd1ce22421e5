import type { AgentEvent, AgentStatus, LogBatch } from "@stackctl/protocol";
import { StackctlError } from "@stackctl/protocol";
import { acceptEvent } from "../trust/accept-event.ts";
import type { AppliedRow, Store } from "../store/store.ts";
import { eventLines } from "./describe.ts";
import type { Fleet } from "./fleet.ts";

/** What the intake tells the rest of the server. */
export interface IntakeListeners {
  readonly onAnswer: (host: string, answer: Extract<AgentEvent, { type: "request.answered" }>) => void;
  /** Called before the event counts as taken in, so that a kill in between repeats it. */
  readonly onPermit: (
    host: string,
    event: Extract<AgentEvent, { type: "permit.wanted" | "permit.returned" }>,
  ) => void;
  /** As {@link onPermit}. */
  readonly onLeft: (host: string, kept: readonly string[]) => void;
  /** Lines of history were written, up to this number. */
  readonly onEvents: () => void;
  readonly onStatus: (host: string, status: AgentStatus) => void;
  readonly onLines: (host: string, batch: LogBatch) => void;
  readonly log: (fields: Record<string, unknown>, message: string) => void;
}

/**
 * Where everything that agents say comes in. An agent is hostile until its signature, its name, its incarnation
 * and its counter are right; what is not accepted is recorded and changes nothing else.
 */
export class Intake {
  readonly #store: Store;
  readonly #fleet: Fleet;
  readonly #cluster: string;
  readonly #listeners: IntakeListeners;
  readonly #floors = new Map<string, number>();

  constructor(store: Store, fleet: Fleet, cluster: string, listeners: IntakeListeners) {
    this.#store = store;
    this.#fleet = fleet;
    this.#cluster = cluster;
    this.#listeners = listeners;
  }

  /** Takes in a kept event. Safe to be called again with the same bytes: the counter tells. */
  result(host: string, bytes: Uint8Array): void {
    const agent = this.#store.agent(host);
    if (agent === null) return;
    const floorKey = `result ${host}@${String(agent.incarnation)}`;
    const floor = Math.max(this.#store.floor(host, agent.incarnation), this.#floors.get(floorKey) ?? 0);
    let accepted;
    try {
      accepted = acceptEvent(bytes, {
        host,
        kind: "result",
        cluster: this.#cluster,
        incarnation: agent.incarnation,
        eventKey: agent.eventKey,
        floor,
      });
    } catch (error) {
      this.#refused(host, error);
      return;
    }
    const { header, body: event } = accepted;
    if (event.type === "request.answered") {
      // Kept nowhere: the one who asked waits in this very process, and an answer that comes again finds nobody waiting.
      this.#floors.set(floorKey, header.n);
      this.#listeners.onAnswer(host, event);
      this.#fleet.news(host);
      return;
    }
    const at = new Date().toISOString();
    const applied: AppliedRow | null =
      event.type === "document.applied"
        ? {
            host,
            service: event.service,
            incarnation: agent.incarnation,
            seq: event.seq,
            digest: event.digest,
            outcome: event.outcome,
            seconds: event.seconds,
            resources: event.resources,
          }
        : null;
    const issued = event.type === "document.applied" ? this.#store.document(host, event.service) : null;
    if (event.type === "permit.wanted" || event.type === "permit.returned")
      this.#listeners.onPermit(host, event);
    if (event.type === "agent.left") this.#listeners.onLeft(host, event.kept);
    const lines = eventLines(host, at, event, issued?.body.origins ?? {});
    this.#store.takeIn({ host, incarnation: agent.incarnation, n: header.n }, lines, applied);
    if (event.type === "host.rebooting") this.#fleet.rebooting(host);
    if (lines.length > 0) this.#listeners.onEvents();
    this.#fleet.news(host);
  }

  /** Takes in a heartbeat. */
  status(host: string, bytes: Uint8Array): void {
    const body = this.#passing(host, "status", bytes);
    if (body === null) return;
    this.#fleet.heard(host, body);
    this.#listeners.onStatus(host, body);
  }

  /** Takes in lines of logs. */
  lines(host: string, bytes: Uint8Array): void {
    const body = this.#passing(host, "lines", bytes);
    if (body !== null) this.#listeners.onLines(host, body);
  }

  /** What is not kept anywhere; null: it was refused. */
  #passing<K extends "status" | "lines">(
    host: string,
    kind: K,
    bytes: Uint8Array,
  ): ReturnType<typeof acceptEvent<K>>["body"] | null {
    const agent = this.#store.agent(host);
    if (agent === null) return null;
    const floorKey = `${kind} ${host}@${String(agent.incarnation)}`;
    try {
      const { header, body } = acceptEvent(bytes, {
        host,
        kind,
        cluster: this.#cluster,
        incarnation: agent.incarnation,
        eventKey: agent.eventKey,
        floor: this.#floors.get(floorKey) ?? 0,
      });
      this.#floors.set(floorKey, header.n);
      return body;
    } catch (error) {
      this.#refused(host, error);
      return null;
    }
  }

  #refused(host: string, error: unknown): void {
    if (!(error instanceof StackctlError)) throw error;
    // A repeated delivery of what was taken in already is the stream doing its duty, not an attack.
    if (error.message.includes("taken in already")) return;
    this.#listeners.log({ host, why: error.message }, "message refused");
    this.#store.addEvent({
      at: new Date().toISOString(),
      host,
      service: null,
      resource: null,
      type: "message.refused",
      text: `said to be from ${host}: ${error.message}`,
      run: null,
    });
    this.#listeners.onEvents();
  }
}
