import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { appendFileSync, closeSync, fsyncSync, openSync } from "node:fs";
import { join } from "node:path";
import type {
  AgentEvent,
  AgentHold,
  Change,
  EventHeader,
  Outcome,
  Resource,
  ResourceOutcome,
} from "@stackctl/protocol";
import { isFull, readOrNull, writeAtomically } from "../host/files.ts";

/** A document as it was accepted, and how far it is. */
export interface HeldDocument {
  readonly service: string;
  readonly epoch: number;
  readonly seq: number;
  readonly digest: string;
  /** The signed bytes, base64: what a restart begins from. */
  readonly envelope: string;
}

/** What the agent has done about a service's document: it survives any kill. */
export interface Ledger {
  /** Resources that were applied and not removed since, in the order of creation: what a successor takes away. */
  readonly applied: readonly Resource[];
  /** Resources that were removed and whose data stayed. */
  readonly kept?: readonly Resource[];
  /** The document that is being worked on, or was last. */
  readonly seq: number;
  /** Null: not yet done with. */
  readonly outcome: Outcome | null;
  /** What became of the resources of this very document so far. */
  readonly done: readonly ResourceOutcome[];
  /** The resource that was being changed: if nothing differs after a kill, it was changed all the same. */
  readonly intent: {
    readonly id: string;
    readonly changes: readonly Change[];
    readonly restarts: readonly string[];
    /** It is made for the first time on this host. */
    readonly isFirst: boolean;
  } | null;
}

/** What an agent accepts by, as kept. */
export interface KeptFloors {
  readonly epoch: number;
  readonly leader: string | null;
  readonly latestIssuedMs: number;
}

/** A permit from the wish for it to its return. */
export interface KeptPermit {
  readonly wish: string;
  readonly cluster: string;
  readonly service: string;
  /** Of the resource. */
  readonly id: string;
  /** `begun`: what it is for was begun and has to be ended. `returned`: the server is yet to be told. */
  readonly state: "wanted" | "held" | "begun" | "returned";
  /** Until when it may be begun, Unix milliseconds; 0 while it is wanted. */
  readonly untilMs: number;
}

/** What is to be left alone. */
export interface KeptHolds {
  readonly revision: number;
  readonly holds: readonly AgentHold[];
}

/** An event that the server's stream does not have yet. */
export interface QueuedEvent {
  readonly n: number;
  readonly at: string;
  readonly event: AgentEvent;
}

export const emptyLedger: Ledger = { applied: [], seq: 0, outcome: null, done: [], intent: null };

/** Numbers of events are taken from the disk in blocks, so that none is used twice and few writes are needed. */
const block = 10_000;

/** The agent's own state on disk: documents, ledgers, floors, outgoing events. Every write is whole or not at all. */
export class AgentState {
  readonly #folder: string;
  readonly #ledgers = new Map<string, Ledger>();
  readonly #next: Record<EventHeader["kind"], { n: number; end: number }>;
  #queue: QueuedEvent[];

  /** @param folder of this incarnation; made when missing, 0700 */
  constructor(folder: string) {
    this.#folder = folder;
    for (const each of ["documents", "ledgers"])
      mkdirSync(join(folder, each), { recursive: true, mode: 0o700 });
    for (const each of ["", "documents", "ledgers"]) {
      for (const name of readdirSync(join(folder, each)))
        if (name.endsWith(".stackctl-tmp")) rmSync(join(folder, each, name));
    }
    this.#next = {
      result: this.#counter("result"),
      status: this.#counter("status"),
      lines: this.#counter("lines"),
    };
    this.#queue = readQueue(join(folder, "outbox.jsonl"));
  }

  /** Every document that was accepted, an empty one too until its work is done. */
  documents(): HeldDocument[] {
    return readdirSync(join(this.#folder, "documents"))
      .filter((name) => name.endsWith(".json"))
      .map((name) => JSON.parse(readOrNull(join(this.#folder, "documents", name)) ?? "null") as HeldDocument);
  }

  keepDocument(document: HeldDocument): void {
    writeAtomically(
      join(this.#folder, "documents", `${document.service}.json`),
      JSON.stringify(document),
      0o600,
    );
  }

  /** The permits that were wanted and not yet given back. */
  permits(): KeptPermit[] {
    return JSON.parse(readOrNull(join(this.#folder, "permits.json")) ?? "[]") as KeptPermit[];
  }

  keepPermits(permits: readonly KeptPermit[]): void {
    writeAtomically(join(this.#folder, "permits.json"), JSON.stringify(permits), 0o600);
  }

  holds(): KeptHolds {
    const text = readOrNull(join(this.#folder, "holds.json"));
    return text === null ? { revision: 0, holds: [] } : (JSON.parse(text) as KeptHolds);
  }

  keepHolds(holds: KeptHolds): void {
    writeAtomically(join(this.#folder, "holds.json"), JSON.stringify(holds), 0o600);
  }

  floors(): KeptFloors | null {
    const text = readOrNull(join(this.#folder, "floors.json"));
    return text === null ? null : (JSON.parse(text) as KeptFloors);
  }

  keepFloors(floors: KeptFloors): void {
    writeAtomically(join(this.#folder, "floors.json"), JSON.stringify(floors), 0o600);
  }

  ledger(service: string): Ledger {
    const known = this.#ledgers.get(service);
    if (known !== undefined) return known;
    const text = readOrNull(join(this.#folder, "ledgers", `${service}.json`));
    const ledger = text === null ? emptyLedger : (JSON.parse(text) as Ledger);
    this.#ledgers.set(service, ledger);
    return ledger;
  }

  /** The services that anything was ever done about here. */
  services(): string[] {
    return readdirSync(join(this.#folder, "ledgers"))
      .filter((name) => name.endsWith(".json"))
      .map((name) => name.slice(0, -".json".length));
  }

  /** True once the agent was told to take itself away. */
  isLeaving(): boolean {
    return existsSync(join(this.#folder, "leaving"));
  }

  keepLeaving(): void {
    writeAtomically(join(this.#folder, "leaving"), "", 0o600);
  }

  keepLedger(service: string, ledger: Ledger): void {
    const text = JSON.stringify(ledger);
    if (JSON.stringify(this.#ledgers.get(service)) === text) return;
    writeAtomically(join(this.#folder, "ledgers", `${service}.json`), text, 0o600);
    this.#ledgers.set(service, ledger);
  }

  /** The next number of a kind; never the same twice, through any kill. */
  number(kind: EventHeader["kind"]): number {
    const counter = this.#next[kind];
    if (counter.n >= counter.end) this.#next[kind] = this.#counter(kind);
    return this.#next[kind].n++;
  }

  /** Queues an event; once this returns it will be delivered, whatever happens but a kill while the disk is full. */
  queue(event: AgentEvent): QueuedEvent {
    const queued: QueuedEvent = { n: this.number("result"), at: new Date().toISOString(), event };
    // Answers are worth nothing later: they are not kept.
    if (event.type !== "request.answered") this.#keep(queued);
    this.#queue.push(queued);
    return queued;
  }

  /** Writes an event down. On a full disk it is kept in memory only: to say that the disk is full matters more than to keep it. */
  #keep(queued: QueuedEvent): void {
    const file = join(this.#folder, "outbox.jsonl");
    try {
      appendFileSync(file, `${JSON.stringify(queued)}\n`, { mode: 0o600 });
      const descriptor = openSync(file, "r");
      try {
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
    } catch (error) {
      if (!isFull(error)) throw error;
    }
  }

  /** The oldest event that is not delivered; null: none. */
  oldest(): QueuedEvent | null {
    return this.#queue[0] ?? null;
  }

  /** True when all is delivered but answers, which nobody may wait for any more. */
  isSaid(): boolean {
    return this.#queue.every(({ event }) => event.type === "request.answered");
  }

  /** The server's stream has this event. */
  delivered(n: number): void {
    this.#queue = this.#queue.filter((queued) => queued.n !== n);
    const file = join(this.#folder, "outbox.jsonl");
    if (this.isSaid() && existsSync(file)) rmSync(file);
  }

  #counter(kind: string): { n: number; end: number } {
    const file = join(this.#folder, `${kind}.number`);
    const n = Number(readOrNull(file) ?? "1");
    writeAtomically(file, String(n + block), 0o600);
    return { n, end: n + block };
  }
}

/** A former incarnation's state, set aside; what it had applied is taken over, so that it can be removed. */
export function setAside(folder: string, incarnation: number): void {
  const former = `${folder}/former-${String(incarnation)}`;
  rmSync(former, { recursive: true, force: true });
  mkdirSync(former, { recursive: true, mode: 0o700 });
  for (const name of [
    "documents",
    "floors.json",
    "holds.json",
    "leaving",
    "outbox.jsonl",
    "permits.json",
    "result.number",
    "status.number",
    "lines.number",
  ]) {
    if (existsSync(join(folder, name))) renameSync(join(folder, name), join(former, name));
  }
  const ledgers = join(folder, "ledgers");
  if (!existsSync(ledgers)) return;
  for (const name of readdirSync(ledgers)) {
    const file = join(ledgers, name);
    const { applied, kept = [] } = JSON.parse(readOrNull(file) ?? "null") as Ledger;
    writeAtomically(file, JSON.stringify({ ...emptyLedger, applied, kept }), 0o600);
  }
}

/** Events left from before; a torn last line was never promised to anybody. */
function readQueue(file: string): QueuedEvent[] {
  return (readOrNull(file) ?? "").split("\n").flatMap((line) => {
    if (line === "") return [];
    try {
      return [JSON.parse(line) as QueuedEvent];
    } catch (error) {
      if (error instanceof SyntaxError) return [];
      throw error;
    }
  });
}
