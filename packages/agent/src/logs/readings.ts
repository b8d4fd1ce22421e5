import {
  errorData,
  logLeaseSeconds,
  maxLogLines,
  type AgentRequest,
  type LogBatch,
  type LogLine,
  type LogsAnswer,
  type LogSource,
} from "@stackctl/protocol";
import type { Journal } from "../host/host.ts";
import { Budget } from "./budget.ts";

/** More at once are not begun: each is a process. */
const maxReadings = 8;
/** A batch goes out when it has this many bytes, as they are within its envelope, or after this time. */
const batchBytes = 64 * 1024;
const batchMs = 100;
/** What this host may send of all logs together; what is more is counted and left out. */
const burstBytes = 2 * 1024 * 1024;
const bytesPerSecond = 512 * 1024;

export interface ReadingsOptions {
  readonly journal: Journal;
  /** What a word names on this host, by the documents that it holds; empty: nothing. */
  readonly sources: (word: string) => readonly LogSource[];
  /** Sends a batch. @returns false when it is lost */
  readonly send: (batch: LogBatch) => boolean;
  readonly log: (fields: Record<string, unknown>, message: string) => void;
  /** @default {@link logLeaseSeconds} */
  readonly leaseMs?: number;
}

type Asked = Extract<AgentRequest, { kind: "logs" }>;

interface Reading {
  readonly id: string;
  readonly over: AbortController;
  lease: NodeJS.Timeout;
  flush: NodeJS.Timeout | null;
  lines: LogLine[];
  sizeBytes: number;
  dropped: number;
  caughtUp: boolean;
}

/**
 * The logs that somebody reads just now. Each is one process at most, ends by itself when it is not asked for again, and
 * takes no more memory than a batch: what comes faster than it may be sent is counted instead.
 */
export class Readings {
  readonly #options: ReadingsOptions;
  readonly #readings = new Map<string, Reading>();
  readonly #budget = new Budget(burstBytes, bytesPerSecond);

  constructor(options: ReadingsOptions) {
    this.#options = options;
  }

  /** Begins a reading, or prolongs the one of that id. */
  ask(asked: Asked): LogsAnswer["state"] {
    const known = this.#readings.get(asked.reading);
    if (known !== undefined) {
      clearTimeout(known.lease);
      known.lease = this.#leaseOf(asked.reading);
      return "reading";
    }
    const sources = this.#options.sources(asked.service);
    if (sources.length === 0) return "unknown";
    if (this.#readings.size >= maxReadings) return "busy";
    const reading: Reading = {
      id: asked.reading,
      over: new AbortController(),
      lease: this.#leaseOf(asked.reading),
      flush: null,
      lines: [],
      sizeBytes: 0,
      dropped: 0,
      caughtUp: false,
    };
    this.#readings.set(reading.id, reading);
    void this.#read(reading, asked, sources);
    return "reading";
  }

  /** Ends a reading; one that is over already is fine. */
  end(id: string): void {
    const reading = this.#readings.get(id);
    if (reading === undefined) return;
    this.#readings.delete(id);
    clearTimeout(reading.lease);
    if (reading.flush !== null) clearTimeout(reading.flush);
    reading.over.abort();
  }

  /** Ends all. */
  close(): void {
    for (const id of [...this.#readings.keys()]) this.end(id);
  }

  async #read(reading: Reading, asked: Asked, sources: readonly LogSource[]): Promise<void> {
    const { lines, sinceUs, follow } = asked;
    let why: string | null = null;
    try {
      await this.#options.journal.read(
        { sources, lines, sinceUs, follow },
        {
          room: () => this.#budget.hasRoom(),
          entry: (line) => {
            this.#add(reading, line);
          },
          dropped: () => {
            reading.dropped += 1;
            this.#soon(reading);
          },
          caughtUp: () => {
            reading.caughtUp = true;
            this.#flush(reading, false, null);
          },
        },
        reading.over.signal,
      );
      if (follow) why = "the journal is followed no more";
    } catch (error) {
      why = errorData(error).message.slice(0, 500);
      this.#options.log({ service: asked.service, why }, "log not read");
    }
    // Whoever ended it waits for nothing any more.
    if (!this.#readings.has(reading.id)) return;
    this.#flush(reading, true, why);
    this.end(reading.id);
  }

  #add(reading: Reading, line: LogLine): void {
    // As it stands in the envelope: JSON within JSON.
    const sizeBytes = Buffer.byteLength(JSON.stringify(JSON.stringify(line)));
    if (!this.#budget.take(sizeBytes)) {
      reading.dropped += 1;
      this.#soon(reading);
      return;
    }
    if (reading.sizeBytes + sizeBytes > batchBytes || reading.lines.length >= maxLogLines)
      this.#flush(reading, false, null);
    reading.lines.push(line);
    reading.sizeBytes += sizeBytes;
    this.#soon(reading);
  }

  #soon(reading: Reading): void {
    if (!this.#readings.has(reading.id)) return;
    reading.flush ??= setTimeout(() => {
      this.#flush(reading, false, null);
    }, batchMs);
  }

  #flush(reading: Reading, ended: boolean, why: string | null): void {
    if (reading.flush !== null) clearTimeout(reading.flush);
    reading.flush = null;
    const { id, lines, dropped, caughtUp } = reading;
    reading.lines = [];
    reading.sizeBytes = 0;
    const sent = this.#options.send({ reading: id, lines, dropped, caughtUp, ended, why });
    reading.dropped = sent ? 0 : dropped + lines.length;
  }

  #leaseOf(id: string): NodeJS.Timeout {
    return setTimeout(
      () => {
        this.end(id);
      },
      this.#options.leaseMs ?? logLeaseSeconds * 1000,
    );
  }
}
