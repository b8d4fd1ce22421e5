import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import {
  errorData,
  logsAnswer,
  maxLogLines,
  StackctlError,
  type ApiAnswer,
  type ApiRequest,
  type LogBatch,
  type LogLine,
} from "@stackctl/protocol";
import type { Questions } from "./ask.ts";
import type { Fleet } from "./fleet.ts";

/** More at once are not begun. */
const maxReadings = 32;
/** A reading that the command line does not ask for within this is over: it was killed. */
const abandonedMs = 20_000;
/** How often agents are told that it goes on: twice within their lease, and one more that may be lost. */
const renewMs = 10_000;
/** A host that could not be asked is asked again this often, once it is there. */
const againMs = 2000;
/** How long hosts may take with lines of the past before those of the others are shown without them. */
const pastMs = 8000;
const answerMs = 4000;
/** Lines that come are held for this long, so that those of all hosts stand in their order. */
const orderMs = 150;
/** Of one host, waiting to be fetched by the command line; what is more is counted and left out. */
const maxWaitingBytes = 2 * 1024 * 1024;
/** Of one answer, below what NATS carries at once also when every character needs six bytes. */
const maxAnswerChars = 64 * 1024;

export interface LogsOptions {
  readonly fleet: Pick<Fleet, "presence">;
  readonly questions: Pick<Questions, "ask">;
  readonly log: (fields: Record<string, unknown>, message: string) => void;
  /** @default the clock */
  readonly now?: () => number;
}

type Asked = ApiRequest<"logs">;
type Answer = ApiAnswer<"logs">;

interface Line extends LogLine {
  readonly host: string;
}

interface HostReading {
  readonly host: string;
  /** When it was asked last; 0: it is to be asked as soon as it may be. */
  askedMs: number;
  asking: boolean;
  /** All of its past is here. */
  caughtUp: boolean;
  problem: string | null;
  dropped: number;
  waitingBytes: number;
  newestUs: number | null;
}

interface Reading {
  readonly asked: Asked;
  /**
   * As agents know it: of this server alone, so that one that was started anew gets from them what was said meanwhile,
   * and not only what they were about to send to the former.
   */
  readonly id: string;
  readonly startedMs: number;
  readonly hosts: ReadonlyMap<string, HostReading>;
  lastAskedMs: number;
  /** The lines of the past are merged and cut. */
  merged: boolean;
  earlier: boolean;
  waiting: Line[];
  /** Number of the last line that was handed over. */
  next: number;
  /** What was handed over last, in case that answer was lost. */
  handed: { readonly after: number; readonly answer: Answer } | null;
  /** What the command line was told of the hosts. */
  told: string;
  newestUs: number | null;
  over: boolean;
}

/**
 * The logs that command lines read just now. Nothing of them is kept: a server that is started anew knows none, and begins
 * them again where the command line says.
 */
export class Logs {
  readonly #options: LogsOptions;
  readonly #now: () => number;
  /** By the ids of the command lines, and by those that agents know. */
  readonly #readings = new Map<string, Reading>();
  readonly #onAgents = new Map<string, Reading>();
  #news = Promise.withResolvers<undefined>();

  constructor(options: LogsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /**
   * The next lines of a reading, which is begun when it is not known. Waits at most `waitMs` for some.
   * @param hosts gives those to read from; only asked when it begins
   * @throws StackctlError `server_busy`, and what `hosts` throws
   */
  async read(asked: Asked, hosts: () => readonly string[]): Promise<Answer> {
    const reading = this.#readings.get(asked.reading) ?? this.#begin(asked, hosts());
    reading.lastAskedMs = this.#now();
    if (reading.handed?.after === asked.after && asked.after !== reading.next) return reading.handed.answer;
    const until = this.#now() + asked.waitMs;
    while (!this.#hasNews(reading) && this.#now() < until) await this.#untilNews(until);
    if (reading.merged && asked.follow && reading.waiting.length > 0) await pause(orderMs);
    return this.#handOver(reading, asked.after);
  }

  /** Ends a reading; one that is over already is fine. */
  end(id: string): void {
    const reading = this.#readings.get(id);
    if (reading === undefined) return;
    this.#readings.delete(id);
    this.#onAgents.delete(reading.id);
    reading.over = true;
    for (const { host, problem } of reading.hosts.values()) {
      if (problem !== null || !reading.asked.follow) continue;
      this.#options.questions
        .ask(host, { kind: "logs-end", reading: reading.id }, answerMs)
        .catch((error: unknown) => {
          // Its lease ends without it too.
          this.#options.log({ host, why: errorData(error).message }, "end of a reading not told");
        });
    }
    this.#wake();
  }

  /** Takes in what an agent sent; only for readings that are under way, from hosts that they are of. */
  heard(host: string, batch: LogBatch): void {
    const reading = this.#onAgents.get(batch.reading);
    const own = reading?.hosts.get(host);
    if (reading === undefined || own === undefined) return;
    own.problem = batch.why;
    own.dropped += batch.dropped;
    own.caughtUp ||= batch.caughtUp || batch.ended;
    // One that ended though it should go on is begun again.
    if (batch.ended && reading.asked.follow) own.askedMs = this.#now() - renewMs + againMs;
    for (const line of batch.lines) {
      own.newestUs = Math.max(own.newestUs ?? 0, line.atUs);
      const size = sizeOf(line);
      if (own.waitingBytes + size > maxWaitingBytes) own.dropped += 1;
      else {
        own.waitingBytes += size;
        reading.waiting.push({ ...line, host });
      }
    }
    this.#wake();
  }

  /** Renews, begins again, gives up; called about once a second. */
  tick(): void {
    const now = this.#now();
    for (const [id, reading] of this.#readings) {
      if (now - reading.lastAskedMs > abandonedMs) {
        this.end(id);
        continue;
      }
      for (const own of reading.hosts.values()) {
        if (!reading.asked.follow) continue;
        const off = this.#whyOff(own.host);
        if (off !== null) {
          own.problem = off;
          own.askedMs = 0;
        } else if (now - own.askedMs >= (own.problem === null ? renewMs : againMs))
          void this.#ask(reading, own);
      }
    }
    this.#wake();
  }

  #begin(asked: Asked, hosts: readonly string[]): Reading {
    if (this.#readings.size >= maxReadings) {
      throw new StackctlError("server_busy", `${String(maxReadings)} logs are read at this moment`, {
        retryable: true,
        details: { remedy: "end some of the commands that follow logs" },
      });
    }
    const now = this.#now();
    const reading: Reading = {
      asked,
      id: randomUUID(),
      startedMs: now,
      hosts: new Map(
        hosts.map((host) => [
          host,
          {
            host,
            askedMs: 0,
            asking: false,
            caughtUp: false,
            problem: null,
            dropped: 0,
            waitingBytes: 0,
            newestUs: null,
          },
        ]),
      ),
      lastAskedMs: now,
      merged: false,
      earlier: false,
      waiting: [],
      next: asked.after,
      handed: null,
      told: "",
      newestUs: null,
      over: false,
    };
    this.#readings.set(asked.reading, reading);
    this.#onAgents.set(reading.id, reading);
    for (const own of reading.hosts.values()) void this.#ask(reading, own);
    return reading;
  }

  /** Begins or renews the reading on a host; what it missed since its last line comes too. */
  async #ask(reading: Reading, own: HostReading): Promise<void> {
    if (own.asking) return;
    own.asking = true;
    own.askedMs = this.#now();
    const { service, follow, lines, sinceUs } = reading.asked;
    try {
      const isFirst = !reading.merged && own.newestUs === null;
      const answer = await this.#options.questions.ask(
        own.host,
        {
          kind: "logs",
          reading: reading.id,
          service,
          follow,
          // With one more it shows whether there are earlier ones.
          lines: isFirst ? lines + (sinceUs === null ? 0 : 1) : maxLogLines,
          sinceUs: isFirst ? sinceUs : own.newestUs === null ? reading.startedMs * 1000 : own.newestUs + 1,
        },
        answerMs,
      );
      const { state } = logsAnswer.parse(answer);
      if (state === "reading") {
        // One that has still to send its past says itself when it has.
        if (own.caughtUp) own.problem = null;
      } else if (state === "busy") own.problem = "reads as many logs as it may at this moment";
      else own.problem = `does not have ${service} yet`;
    } catch (error) {
      const { code, message } = errorData(error);
      own.problem =
        code === "agent_unreachable"
          ? (this.#whyOff(own.host) ?? "does not answer")
          : `was not asked: ${message}`;
    } finally {
      own.asking = false;
      this.#wake();
    }
  }

  /** Since when a host is off; null: it is there, as far as is known. */
  #whyOff(host: string): string | null {
    const presence = this.#options.fleet.presence(host);
    if (presence === null || presence.state === "ok") return null;
    const what = presence.state === "rebooting" ? "reboots" : "is off";
    return `${what} since ${new Date(presence.sinceMs).toLocaleTimeString("en-GB")}`;
  }

  #hasNews(reading: Reading): boolean {
    if (reading.over) return true;
    if (!reading.merged) {
      const late = this.#now() - reading.startedMs >= pastMs;
      const open = [...reading.hosts.values()].filter(
        ({ caughtUp, problem }) => !caughtUp && problem === null,
      );
      if (open.length > 0 && !late) return false;
      for (const own of open) own.problem = `has not sent its lines within ${String(pastMs / 1000)} s`;
      this.#merge(reading);
    }
    return (
      reading.waiting.length > 0 || !reading.asked.follow || JSON.stringify(hostsOf(reading)) !== reading.told
    );
  }

  /** Of the lines of all hosts, as many of the last ones as were asked for. */
  #merge(reading: Reading): void {
    const { lines, sinceUs } = reading.asked;
    const all = reading.waiting.toSorted((a, b) => a.atUs - b.atUs);
    reading.waiting = lines === 0 ? [] : all.slice(-lines);
    reading.earlier = sinceUs !== null && all.length > lines;
    reading.merged = true;
    for (const own of reading.hosts.values()) own.waitingBytes = 0;
    for (const line of reading.waiting) {
      const own = reading.hosts.get(line.host);
      if (own !== undefined) own.waitingBytes += sizeOf(line);
    }
  }

  #handOver(reading: Reading, after: number): Answer {
    // While the past is not whole, its order is not known.
    const sorted = reading.merged ? reading.waiting.sort((a, b) => a.atUs - b.atUs) : [];
    let chars = 0;
    let many = 0;
    for (const line of sorted) {
      chars += sizeOf(line);
      if (many > 0 && chars > maxAnswerChars) break;
      many += 1;
    }
    const lines = sorted.splice(0, many);
    for (const line of lines) {
      const own = reading.hosts.get(line.host);
      if (own !== undefined) own.waitingBytes -= sizeOf(line);
      reading.newestUs = Math.max(reading.newestUs ?? 0, line.atUs);
    }
    const hosts = hostsOf(reading);
    reading.told = JSON.stringify(hosts);
    reading.next += lines.length;
    const answer: Answer = {
      lines: lines.map(({ atUs, host, from, text }) => ({
        at: new Date(atUs / 1000).toISOString(),
        host,
        from,
        text,
      })),
      next: reading.next,
      newestUs: reading.newestUs,
      earlier: reading.earlier,
      done: reading.over || (reading.merged && !reading.asked.follow && reading.waiting.length === 0),
      hosts,
    };
    reading.handed = { after, answer };
    return answer;
  }

  #wake(): void {
    this.#news.resolve(undefined);
    this.#news = Promise.withResolvers();
  }

  /** Resolves at any news of any reading, or at that time. */
  async #untilNews(untilMs: number): Promise<void> {
    const over = new AbortController();
    const timer = pause(Math.max(1, untilMs - this.#now()), undefined, { signal: over.signal }).catch(
      () => undefined,
    );
    await Promise.race([this.#news.promise, timer]);
    over.abort();
  }
}

function hostsOf({ hosts }: Reading): Answer["hosts"] {
  return [...hosts.values()].map(({ host, problem, dropped }) => ({ host, problem, dropped }));
}

function sizeOf({ text, from }: LogLine): number {
  return text.length + from.length + 100;
}
