import { randomBytes } from "node:crypto";
import {
  documentBody,
  documentHeader,
  errorData,
  logSources,
  openEnvelope,
  openSecret,
  peekHeader,
  privateKey,
  refused,
  resourceId,
  sealEnvelope,
  statusEverySeconds,
  StackctlError,
  version,
  type AgentEvent,
  type AgentRequest,
  type AgentStatus,
  type DocumentBody,
  type EventHeader,
  type FactsAnswer,
  type HoldsAnswer,
  type FactsOrder,
  type LogBatch,
  type LogsAnswer,
  type LeadAnswer,
  type LeaveAnswer,
  type MemberHealth,
  type PackagesWay,
  type Outcome,
  type PermitAnswer,
  type PingAnswer,
  type PlanAnswer,
  type PruneAnswer,
  type PruneRequest,
  type ReleaseAnswer,
  type RepairAnswer,
  type RequestHeader,
  type Resource,
  type ResourceOutcome,
  type SealedSecret,
} from "@stackctl/protocol";
import type { AgentBus } from "./bus/bus.ts";
import { applyDocument, keptOf, planDocument } from "./engine/apply-document.ts";
import { bind, converge, difference, type Behaviours, type Converged } from "./engine/converge.ts";
import { Holds } from "./engine/holds.ts";
import { Permits } from "./engine/permits.ts";
import { prune } from "./engine/prune.ts";
import type { Context } from "./engine/resource.ts";
import type { AgentState, Ledger } from "./engine/state.ts";
import { answerRelease } from "./engine/upgrade.ts";
import type { Host } from "./host/host.ts";
import { Readings } from "./logs/readings.ts";
import type { Releases } from "./host/releases.ts";
import { lead } from "./resources/galera-member.ts";
import { trustOf, type Identity } from "./identity.ts";
import { acceptDocument, acceptRequest, raiseFloors, type Floors, type Trust } from "./trust/accept.ts";
import { Watcher } from "./watch/watch.ts";

/** A change by hand is looked at this long after it was noticed: most come in bursts. */
const debounceMs = 150;
/** Everything is looked at this often, whatever was noticed. */
const slowPassMs = 60_000;
/** A resource is put back at most this often an hour; then somebody else wants it otherwise, and a person has to choose. */
const repairsPerHour = 5;
/** What was asked for is begun within this or not at all: what it was to keep may be another thing then. */
const pruneWithinMs = 60_000;
/** Pauses between tries of a document that failed, then at each slow pass. */
const retryMs = [5000, 30_000, 60_000];
/** Answers are sent in pieces, so that with their envelope they stay below what a message may have. */
const pieceChars = 100_000;

export interface AgentOptions {
  readonly identity: Identity;
  readonly state: AgentState;
  readonly bus: AgentBus;
  readonly host: Host;
  readonly releases: Releases;
  readonly behaviours: Behaviours;
  /** What the host is; read in a child, so that what that needs stays out of this process. */
  readonly facts: (order: FactsOrder) => Promise<FactsAnswer>;
  readonly log: (fields: Record<string, unknown>, message: string) => void;
}

/** A person's wish that one resource be made true now. */
interface Order {
  readonly service: string;
  readonly id: string;
  readonly by: string;
  readonly resolve: (answer: RepairAnswer) => void;
}

/** A person's wish that what nothing names any more be taken away. */
interface Pruning {
  readonly request: PruneRequest;
  /** Unix milliseconds: begun later, nobody would wait for the answer any more. */
  readonly untilMs: number;
  readonly resolve: (answer: PruneAnswer) => void;
}

interface Held {
  readonly epoch: number;
  readonly seq: number;
  readonly body: DocumentBody;
  /** Null: not yet converged since it was accepted. */
  outcome: Outcome | null;
  /** Ids of resources that differ now, with how that was noticed. */
  readonly drifted: Map<string, string>;
  /** Set while the document has failed or waits for a permit: when it is tried again, and how often it was. */
  retry: { readonly atMs: number; readonly tries: number } | null;
}

/**
 * The agent: takes documents in, makes them true one at a time, keeps them true, and reports. Works the same with no
 * server to talk to; what it has to say then waits on disk.
 */
export class Agent {
  readonly #options: AgentOptions;
  readonly #trust: Trust;
  readonly #eventKey;
  readonly #sealKey;
  readonly #held = new Map<string, Held>();
  readonly #seenRequests = new Set<string>();
  readonly #repairs = new Map<string, number[]>();
  /** Resources that came back too often and are left alone, until they are seen true again. */
  readonly #leftAlone = new Set<string>();
  /** Documents that there was no room to keep, and that was said of. */
  readonly #notKept = new Set<string>();
  readonly #watcher: Watcher;
  readonly #permits: Permits;
  readonly #holds: Holds;
  readonly #readings: Readings;
  /** Repairs that were asked for, oldest first. */
  readonly #orders: Order[] = [];
  readonly #prunings: Pruning[] = [];
  readonly #startedAtMs = Date.now();
  #floors: Floors;
  #noticed: string | null = null;
  #doing: string | null = null;
  /** How the members of clusters on this host are, as they said last. */
  #members: readonly MemberHealth[] = [];
  #isAsking = false;
  #isLeading = false;
  #wake: () => void = () => undefined;
  #flushWake: () => void = () => undefined;
  #statusTimer: NodeJS.Timeout | null = null;
  #stopped = false;
  /** Data of what left the cloud that was here when it was last looked for. */
  #kept: string[] = [];
  /** It takes itself away as soon as the server has heard of it. */
  #leaving: boolean;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#trust = trustOf(options.identity);
    this.#eventKey = privateKey(options.identity.eventKey);
    this.#sealKey = privateKey(options.identity.sealKey);
    this.#permits = new Permits(options.state, (event) => {
      this.#emit(event);
    });
    this.#holds = new Holds(options.state);
    this.#readings = new Readings({
      journal: options.host.journal,
      sources: (word) =>
        logSources(
          word,
          [...this.#held.values()].map(({ body }) => body),
        ),
      send: (batch) => this.#sendLines(batch),
      log: options.log,
    });
    this.#leaving = options.state.isLeaving();
    const kept = options.state.floors();
    const documents = new Map<string, { epoch: number; seq: number; digest: string }>();
    for (const document of options.state.documents()) {
      const body = this.#reopen(Buffer.from(document.envelope, "base64"));
      documents.set(document.service, document);
      this.#held.set(document.service, {
        epoch: document.epoch,
        seq: document.seq,
        body,
        outcome: this.#outcomeOf(document.service, document.seq),
        drifted: new Map(),
        retry: null,
      });
    }
    this.#floors = {
      epoch: kept?.epoch ?? options.identity.epochFloor,
      leader: kept?.leader ?? null,
      latestIssuedMs: kept?.latestIssuedMs ?? 0,
      documents,
    };
    let timer: NodeJS.Timeout | null = null;
    const noticed = (why: string): void => {
      if (timer !== null) return;
      timer = setTimeout(() => {
        timer = null;
        this.#noticed = why;
        this.#wake();
      }, debounceMs);
    };
    this.#watcher = new Watcher(noticed, (folder, why) => {
      options.log({ folder, why }, "folder not watched, changes there are found by the slow pass");
    });
  }

  /** Runs until {@link stop}. */
  async run(): Promise<void> {
    const { bus, state, host } = this.#options;
    state.queue({ type: "agent.started", version, bootId: host.system.bootId() });
    // What differs after a boot was changed while nobody looked.
    this.#noticed = "changed while the agent did not run";
    this.#permits.remind();
    this.#armWatches();
    bus.onDocument((subject, bytes) => {
      this.#document(subject, bytes);
    });
    bus.onRequest((subject, bytes) => {
      this.#request(subject, bytes);
    });
    bus.onConnected(() => {
      this.#flushWake();
      this.#sendStatus();
    });
    const beat = setInterval(() => {
      this.#permits.expire();
      void this.#askMembers();
      this.#sendStatus();
    }, statusEverySeconds * 1000);
    const flusher = this.#flush();
    await this.#loop();
    clearInterval(beat);
    this.#watcher.close();
    await flusher;
  }

  stop(): void {
    this.#stopped = true;
    this.#readings.close();
    this.#wake();
    this.#flushWake();
  }

  /** Takes a document in: once this returns it is on disk, and may be acknowledged. */
  #document(subject: string, bytes: Uint8Array): void {
    const { state } = this.#options;
    let accepted;
    try {
      accepted = acceptDocument(bytes, subject, this.#trust, this.#floors, Date.now());
    } catch (error) {
      this.#refuse(subject, error);
      return;
    }
    const { header, body, known } = accepted;
    const { service } = header;
    if (known) {
      // The server asks again because it has no answer: it gets the one that there is.
      const held = this.#held.get(service);
      if (held !== undefined && held.outcome !== null) this.#report(service, held, 0);
      return;
    }
    const { epoch, seq } = header;
    const envelope = Buffer.from(bytes).toString("base64");
    try {
      state.keepDocument({ service, epoch, seq, digest: body.digest, envelope });
    } catch (error) {
      // It is not acknowledged and comes again; whoever waits for it hears why nothing happens, once.
      const name = `${service} ${String(epoch)} ${String(seq)}`;
      if (!this.#notKept.has(name)) {
        const failed: Held = { epoch, seq, body, outcome: "failed", drifted: new Map(), retry: null };
        this.#reportLedger(service, failed, [failure(`document/${service}`, error)], 0);
      }
      this.#notKept.add(name);
      throw error;
    }
    this.#floors = raiseFloors(this.#floors, header, body.digest);
    state.keepFloors(this.#floors);
    this.#held.set(service, { epoch, seq, body, outcome: null, drifted: new Map(), retry: null });
    this.#wake();
  }

  #request(subject: string, bytes: Uint8Array): void {
    let accepted;
    try {
      accepted = acceptRequest(bytes, subject, this.#trust, this.#floors, this.#seenRequests, Date.now());
    } catch (error) {
      this.#refuse(subject, error);
      return;
    }
    const { header, body } = accepted;
    this.#seenRequests.add(header.requestId);
    setTimeout(() => this.#seenRequests.delete(header.requestId), 120_000).unref();
    this.#answer(header, body).catch((error: unknown) => {
      this.#options.log({ err: errorData(error).message, kind: body.kind }, "request failed");
    });
  }

  async #answer(header: RequestHeader, request: AgentRequest): Promise<void> {
    const { state, releases } = this.#options;
    const answer = await this.#answerTo(request);
    const text = JSON.stringify(answer);
    const pieces = Math.max(1, Math.ceil(text.length / pieceChars));
    for (let piece = 0; piece < pieces; piece++) {
      const body = text.slice(piece * pieceChars, (piece + 1) * pieceChars);
      state.queue({ type: "request.answered", requestId: header.requestId, piece, pieces, body });
    }
    this.#flushWake();
    const restarts = request.kind === "release-start" && "problem" in answer && answer.problem === null;
    if (!restarts || releases.running === request.release) return;
    await this.#drained();
    await releases.restart();
  }

  async #answerTo(
    request: AgentRequest,
  ): Promise<
    | PingAnswer
    | PlanAnswer
    | FactsAnswer
    | PermitAnswer
    | HoldsAnswer
    | RepairAnswer
    | PruneAnswer
    | LeadAnswer
    | LogsAnswer
    | LeaveAnswer
    | ReleaseAnswer
  > {
    const { host, behaviours, state, facts, releases } = this.#options;
    switch (request.kind) {
      case "ping":
        return { version, bootId: host.system.bootId(), timeMs: Date.now() };
      case "release-offer":
      case "release-piece":
      case "release-start":
      case "release-confirm":
        return answerRelease(releases, request);
      case "facts":
        return facts({ packages: this.#packagesWay(request.packages), names: request.names });
      case "permit":
        return { taken: this.#permitCame(request.wish, request.untilMs) };
      case "holds":
        this.#holds.set(request.revision, request.holds);
        for (const service of this.#held.keys())
          if (this.#holds.covers(service)) this.#permits.withdraw(service);
        this.#noticed ??= "found to differ";
        this.#wake();
        return { revision: this.#holds.revision };
      case "repair":
        return new Promise((resolve) => {
          this.#orders.push({ ...request, resolve });
          this.#wake();
        });
      case "prune":
        return new Promise((resolve) => {
          this.#prunings.push({ request, untilMs: Date.now() + pruneWithinMs, resolve });
          this.#wake();
        });
      case "galera-lead":
        return { problem: await this.#lead(request) };
      case "logs":
        return { state: this.#readings.ask(request) };
      case "logs-end":
        this.#readings.end(request.reading);
        return { state: "ended" };
      case "leave":
        return this.#leave();
      case "plan": {
        const services = await Promise.all(
          request.documents.map(async ({ service, digest, resources, sealed }) => {
            const held = this.#held.get(service);
            const context = this.#context(sealed, () => undefined);
            return {
              service,
              held: held?.body.digest === digest && held.outcome !== null && held.outcome !== "failed",
              resources: await planDocument(behaviours, state, { service, resources }, context),
            };
          }),
        );
        return { services };
      }
    }
  }

  /** Lets the member of the databases' cluster begin; a second order while the first is carried out does nothing. */
  async #lead(asked: { readonly uuid: string; readonly seqno: number }): Promise<string | null> {
    if (this.#isLeading) return "it is told already";
    const members = [...this.#held.values()].flatMap(({ body }) => body.resources);
    const member = members.find((resource) => resource.type === "galera-member");
    if (member === undefined) return "it is no member";
    this.#isLeading = true;
    try {
      return await lead(this.#options.host, member.spec, asked);
    } finally {
      this.#isLeading = false;
    }
  }

  /**
   * Gets ready to go, unless something of the cloud is here still. On disk before it is said: from then on it goes as
   * soon as the server has heard of it.
   */
  async #leave(): Promise<LeaveAnswer> {
    const { state } = this.#options;
    const left = state.services().filter((service) => state.ledger(service).applied.length > 0);
    const pending = [...this.#held].filter(([, { outcome }]) => outcome === null).map(([service]) => service);
    if (left.length > 0 || pending.length > 0) return { left: [...new Set([...left, ...pending])] };
    await this.#lookForKept();
    state.keepLeaving();
    state.queue({ type: "agent.left", kept: this.#kept });
    this.#leaving = true;
    this.#wake();
    return { left };
  }

  /** Notes which data of what left the cloud is here still. */
  async #lookForKept(): Promise<void> {
    const { behaviours, state } = this.#options;
    const context = this.#context([], () => undefined);
    const kept: string[] = [];
    for (const service of state.services())
      kept.push(...(await keptOf(behaviours, state.ledger(service), context)));
    this.#kept = kept.slice(0, 50);
  }

  /** What waits for this permit is looked at again now. @returns false when nothing waits for it */
  #permitCame(wish: string, untilMs: number): boolean {
    const taken = this.#permits.take(wish, untilMs);
    if (taken === null) return false;
    const held = this.#held.get(taken.service);
    if (held?.outcome === null) held.retry = null;
    else this.#noticed ??= "found to differ";
    this.#wake();
    return true;
  }

  #packagesWay({ url, proxy, sealed }: Extract<AgentRequest, { kind: "facts" }>["packages"]): PackagesWay {
    if (proxy === null) return { url, proxy: null };
    const target = new URL(proxy.url);
    if (proxy.login !== null) {
      target.username = proxy.login.user;
      target.password = this.#context(sealed, () => undefined).reveal(proxy.login.password);
    }
    return { url, proxy: target.toString() };
  }

  /** One thing at a time: documents first, then what was noticed, then the slow pass. */
  async #loop(): Promise<void> {
    const pass = { lastMs: Date.now() };
    while (!this.#isStopped()) {
      try {
        await this.#turn(pass);
      } catch (error) {
        // Whatever it was, the next thing to do is not to be lost for it.
        this.#options.log({ err: error }, "turn failed");
        await this.#pause(5000);
      }
    }
  }

  async #turn(pass: { lastMs: number }): Promise<void> {
    if (this.#leaving) {
      // The last that it does: what it had to say has arrived, or is worth nothing without it.
      if (this.#options.state.isSaid()) await this.#options.host.system.leave();
      await this.#pause(this.#options.state.isSaid() ? slowPassMs : 1000);
      return;
    }
    const order = this.#orders.shift();
    if (order !== undefined) {
      order.resolve(await this.#repair(order));
      return;
    }
    const service = this.#due();
    if (service !== null) {
      await this.#apply(service);
      return;
    }
    const pruning = this.#prunings.shift();
    if (pruning !== undefined) {
      pruning.resolve(await this.#prune(pruning));
      return;
    }
    const now = Date.now();
    if (this.#holds.prune()) this.#noticed ??= "found to differ";
    if (this.#noticed !== null || now - pass.lastMs >= slowPassMs) {
      // Only once all that was said before has arrived: a server that is away is not told the same thing again and again.
      if (now - pass.lastMs >= slowPassMs && this.#options.state.oldest() === null) this.#permits.remind();
      const why = this.#noticed ?? "found to differ";
      this.#noticed = null;
      pass.lastMs = now;
      await this.#lookAround(why);
      return;
    }
    // One whose time has come and that is still not due waits for something that wakes this up.
    const retries = [...this.#held.values()].flatMap(({ retry }) =>
      retry === null || retry.atMs <= now ? [] : [retry.atMs],
    );
    const next = Math.min(pass.lastMs + slowPassMs, this.#holds.nextEndMs(), ...retries);
    await this.#pause(Math.max(10, next - now));
  }

  /** A service whose document is to be converged and which needs none that is. */
  #due(): string | null {
    const now = Date.now();
    const pending = [...this.#held].filter(([, { outcome, retry }]) =>
      retry === null ? outcome === null : retry.atMs <= now,
    );
    const open = new Set(
      [...this.#held].filter(([, { outcome }]) => outcome === null).map(([service]) => service),
    );
    for (const [service] of pending) open.add(service);
    const free = pending.filter(([service]) => !this.#holds.covers(service));
    const ready = free.find(([, { body }]) => !body.needs.some((need) => open.has(need)));
    // Needs that go round in a circle must not stop everything; what waits for a permit or is held does.
    return (ready ?? (open.size === free.length ? free[0] : undefined))?.[0] ?? null;
  }

  async #apply(service: string): Promise<void> {
    const { behaviours, state, log } = this.#options;
    const held = this.#held.get(service);
    if (held === undefined) return;
    const begun = performance.now();
    this.#say(`applying ${service}`);
    let ledger: Ledger;
    try {
      ledger = await applyDocument(
        behaviours,
        state,
        held.body,
        held.seq,
        this.#workingContext(service, held),
        this.#permits,
      );
    } catch (error) {
      // What it has done could not be written down: it stops before it changes more, says so, and tries again.
      ledger = { ...state.ledger(service), outcome: "failed", done: [failure(`document/${service}`, error)] };
    }
    if (ledger.outcome === null) {
      // It waits for a permit, and is taken up again when that comes; the others go on.
      held.retry = { atMs: Date.now() + slowPassMs, tries: 0 };
      this.#say(null);
      return;
    }
    const { outcome } = ledger;
    const tries = (held.retry?.tries ?? 0) + 1;
    held.outcome = outcome;
    held.retry =
      outcome === "failed" ? { atMs: Date.now() + (retryMs[tries - 1] ?? slowPassMs), tries } : null;
    held.drifted.clear();
    // A try that failed like the one before it is no news.
    if (outcome !== "failed" || tries === 1)
      this.#reportLedger(service, held, [...ledger.done], (performance.now() - begun) / 1000);
    if (outcome !== "failed") state.keepLedger(service, ledger);
    log({ service, seq: held.seq, outcome, tries }, "document applied");
    this.#armWatches();
    this.#say(null);
    this.#sendStatus();
  }

  /** Reads everything that should be true, says what is not, and puts it back. */
  async #lookAround(why: string): Promise<void> {
    const { behaviours, log } = this.#options;
    for (const [service, held] of this.#held) {
      if (held.outcome !== "unchanged" && held.outcome !== "changed") continue;
      for (const resource of held.body.resources) {
        // A document that arrives meanwhile is more urgent, and may be about this very resource.
        if (this.#due() !== null || this.#orders.length + this.#prunings.length > 0 || this.#isStopped()) {
          this.#noticed ??= why;
          return;
        }
        const id = resourceId(resource);
        const name = `${service} ${id}`;
        const context = this.#workingContext(service, held);
        try {
          const changes = await difference(behaviours, resource, context);
          if (changes.length === 0) {
            held.drifted.delete(id);
            this.#leftAlone.delete(name);
            this.#permits.done(service, id);
            continue;
          }
          let noticed = held.drifted.get(id);
          if (noticed === undefined) {
            noticed = `${why} at ${new Date().toTimeString().slice(0, 8)}`;
            held.drifted.set(id, noticed);
            this.#emit({
              type: "resource.drifted",
              service,
              id,
              changes,
              cause: { kind: "drift", text: noticed },
            });
            this.#sendStatus();
          }
          if (this.#holds.covers(service)) continue;
          const recent = (this.#repairs.get(name) ?? []).filter((at) => at > Date.now() - 3_600_000);
          if (recent.length >= repairsPerHour) {
            if (!this.#leftAlone.has(name)) {
              this.#emit({
                type: "repair.failed",
                service,
                id,
                why: `it was put back ${String(recent.length)} times within an hour and differs again; left alone for now`,
              });
            }
            this.#leftAlone.add(name);
            continue;
          }
          const begun = performance.now();
          const { changes: made, waitsFor } = await this.#makeTrue(service, held, resource, () => {
            this.#repairs.set(name, [...recent, Date.now()]);
            this.#say(`repairing ${id}`);
          });
          if (waitsFor !== null) continue;
          held.drifted.delete(id);
          this.#emit({
            type: "resource.repaired",
            service,
            id,
            changes: [...(made.length === 0 ? changes : made)],
            seconds: (performance.now() - begun) / 1000,
            cause: { kind: "drift", text: `drift repair: ${noticed}, put back` },
          });
        } catch (error) {
          const { message } = errorData(error);
          held.drifted.set(id, held.drifted.get(id) ?? why);
          this.#emit({ type: "repair.failed", service, id, why: message.slice(0, 2000) });
          log({ service, id, why: message }, "repair failed");
        }
        this.#say(null);
        this.#sendStatus();
      }
    }
    try {
      await this.#lookForKept();
    } catch (error) {
      // Such as a dockerd that is away just now: it is looked at again in a minute.
      log({ why: errorData(error).message }, "not known what is kept");
    }
    this.#armWatches();
  }

  /** Makes one resource true now, because a person asked, whatever was tried before. */
  async #repair({ service, id, by }: Order): Promise<RepairAnswer> {
    const no = (outcome: "skipped" | "failed", why: string): RepairAnswer => ({ outcome, why, changes: [] });
    const held = this.#held.get(service);
    const resource = held?.body.resources.find((each) => resourceId(each) === id);
    if (held === undefined || resource === undefined)
      return no("skipped", `the document of ${service} has not arrived yet`);
    if (this.#holds.covers(service)) return no("skipped", "it is held");
    if (held.outcome === null) return no("skipped", `the document of ${service} is not applied yet`);
    this.#repairs.delete(`${service} ${id}`);
    this.#leftAlone.delete(`${service} ${id}`);
    const begun = performance.now();
    try {
      const { changes, waitsFor } = await this.#makeTrue(service, held, resource, () => {
        this.#say(`repairing ${id}`);
      });
      if (waitsFor !== null)
        return no("skipped", `it waits for the permit of ${waitsFor}, and is repaired when that comes`);
      held.drifted.delete(id);
      if (changes.length === 0) return { outcome: "unchanged", why: null, changes: [] };
      const seconds = (performance.now() - begun) / 1000;
      const cause = { kind: "person", text: `repair asked for by ${by}` } as const;
      this.#emit({ type: "resource.repaired", service, id, changes: [...changes], seconds, cause });
      return { outcome: "changed", why: null, changes: [...changes] };
    } catch (error) {
      const why = failure(id, error).why ?? "it failed";
      held.drifted.set(id, held.drifted.get(id) ?? "found to differ");
      this.#emit({ type: "repair.failed", service, id, why });
      return no("failed", why);
    } finally {
      this.#armWatches();
      this.#say(null);
      this.#sendStatus();
    }
  }

  async #prune({ request, untilMs }: Pruning): Promise<PruneAnswer> {
    const none = { removed: [], freedBytes: { docker: 0, registry: 0 } };
    if (Date.now() > untilMs) return { ...none, why: "the host was busy with something else for too long" };
    this.#say("taking unused images away");
    const documents = [...this.#held.values()].flatMap(({ body }) => body.resources);
    const answer = await prune(this.#options.host, documents, request);
    this.#say(null);
    this.#sendStatus();
    return answer;
  }

  /** Converges one resource, with the leave of its cluster when that is needed. */
  async #makeTrue(service: string, held: Held, resource: Resource, before: () => void): Promise<Converged> {
    const id = resourceId(resource);
    const converged = await converge(
      this.#options.behaviours,
      resource,
      this.#workingContext(service, held),
      (cluster) => this.#permits.leave(cluster, service, id),
      before,
    );
    if (converged.waitsFor === null) this.#permits.done(service, id);
    return converged;
  }

  #workingContext(service: string, held: Held): Context {
    const doing = (text: string): void => {
      this.#say(text);
    };
    return this.#context(held.body.sealed, doing, { service, held });
  }

  #context(
    sealed: readonly SealedSecret[],
    doing: (text: string) => void,
    work?: { service: string; held: Held },
  ): Context {
    const { host, identity } = this.#options;
    return {
      host,
      doing,
      reveal: ({ secret, version: wanted }) => {
        const box = sealed.find((each) => each.secret === secret && each.version === wanted);
        if (box === undefined)
          throw new StackctlError("secret_missing", `the document does not carry secret ${secret}`);
        return openSecret(
          box,
          { cluster: identity.cluster, agent: identity.host, incarnation: identity.incarnation },
          this.#sealKey,
        );
      },
      goingDown: async () => {
        if (work !== undefined)
          this.#emit({ type: "host.rebooting", service: work.service, cause: work.held.body.cause });
        await this.#drained();
      },
    };
  }

  /** Waits until everything that was said has arrived, a short time only. */
  async #drained(): Promise<void> {
    const until = Date.now() + 5000;
    while (this.#options.state.oldest() !== null && Date.now() < until) await this.#pauseFlush();
  }

  #report(service: string, held: Held, seconds: number): void {
    this.#reportLedger(service, held, this.#options.state.ledger(service).done, seconds);
  }

  #reportLedger(service: string, held: Held, resources: readonly ResourceOutcome[], seconds: number): void {
    this.#emit({
      type: "document.applied",
      service,
      epoch: held.epoch,
      seq: held.seq,
      digest: held.body.digest,
      outcome: held.outcome ?? "failed",
      seconds: Math.round(seconds * 1000) / 1000,
      resources: [...resources],
      cause: held.body.cause,
    });
  }

  #refuse(subject: string, error: unknown): void {
    if (!(error instanceof StackctlError)) throw error;
    this.#options.log({ subject, why: error.message }, "message refused");
    this.#emit({ type: "message.refused", subject: subject.slice(0, 200), why: error.message.slice(0, 500) });
  }

  #emit(event: AgentEvent): void {
    this.#options.state.queue(event);
    this.#flushWake();
  }

  /** Delivers what is queued, oldest first, each until the server's stream has it. */
  async #flush(): Promise<void> {
    const { state, bus } = this.#options;
    let waitMs = 250;
    while (!this.#isStopped()) {
      const oldest = state.oldest();
      if (oldest === null) {
        await new Promise<void>((resolve) => (this.#flushWake = resolve));
        continue;
      }
      const stale = oldest.event.type === "request.answered" && Date.now() - Date.parse(oldest.at) > 30_000;
      if (
        stale ||
        (await bus.sendResult(
          randomBytes(16).toString("hex"),
          this.#sign("result", oldest.n, oldest.at, oldest.event),
        ))
      ) {
        state.delivered(oldest.n);
        if (this.#leaving) this.#wake();
        waitMs = 250;
      } else {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, waitMs);
          this.#flushWake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        waitMs = Math.min(2000, waitMs * 2);
      }
    }
  }

  #sendLines(batch: LogBatch): boolean {
    const { state, bus, log } = this.#options;
    try {
      return bus.sendLines(this.#sign("lines", state.number("lines"), new Date().toISOString(), batch));
    } catch (error) {
      // Without room on the disk there are no new numbers after a while: to lose lines of logs is the least then.
      log({ why: errorData(error).message }, "lines of a log not sent");
      return false;
    }
  }

  /** Asks the members of clusters on this host how they are. */
  async #askMembers(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const { behaviours, log } = this.#options;
    const members: MemberHealth[] = [];
    for (const held of this.#held.values()) {
      const context = this.#context(held.body.sealed, () => undefined);
      for (const resource of held.body.resources) {
        try {
          const health = await bind(behaviours, resource).health(context);
          if (health !== null) members.push(health);
        } catch (error) {
          log({ err: error, id: resourceId(resource) }, "member of a cluster not asked");
        }
      }
    }
    this.#isAsking = false;
    const before = JSON.stringify(this.#members);
    this.#members = members;
    if (JSON.stringify(members) !== before) this.#sendStatus();
  }

  #sendStatus(): void {
    if (this.#statusTimer !== null) return;
    this.#statusTimer = setTimeout(() => {
      this.#statusTimer = null;
      // One that is stopped says nothing more: its state may be gone by now.
      if (this.#isStopped()) return;
      const { state } = this.#options;
      const { running } = this.#options.releases;
      const status: AgentStatus = {
        version,
        ...(running === null ? {} : { release: running }),
        bootId: this.#options.host.system.bootId(),
        startedAtMs: this.#startedAtMs,
        uptimeSeconds: this.#options.host.system.uptimeSeconds(),
        residentMiB: Math.round(process.memoryUsage.rss() / 1048576),
        doing: this.#leaving ? "taking itself away" : this.#doing,
        left: state
          .services()
          .filter((service) => !this.#held.has(service) && state.ledger(service).applied.length > 0),
        kept: this.#kept,
        documents: [...this.#held].map(([service, { epoch, seq, body, outcome, drifted }]) => ({
          service,
          epoch,
          seq,
          digest: body.digest,
          outcome,
          drifted: [...drifted.keys()],
        })),
        ...(this.#members.length === 0 ? {} : { members: [...this.#members] }),
      };
      this.#options.bus.sendStatus(
        this.#sign("status", state.number("status"), new Date().toISOString(), status),
      );
    }, 50);
  }

  #sign(kind: EventHeader["kind"], n: number, at: string, body: unknown): Uint8Array {
    const { cluster, host, incarnation } = this.#options.identity;
    const header: EventHeader = { v: 1, kind, cluster, agent: host, incarnation, n, at };
    return sealEnvelope("evt", header, body, this.#eventKey);
  }

  #say(text: string | null): void {
    this.#doing = text;
    this.#sendStatus();
  }

  #armWatches(): void {
    this.#watcher.set(
      [...this.#held.values()].flatMap(({ body }) =>
        body.resources.map((resource) => bind(this.#options.behaviours, resource).watch()),
      ),
    );
  }

  /** A document that was accepted once is opened again at start; only its signature is asked, not its age. */
  #reopen(bytes: Uint8Array): DocumentBody {
    const header = documentHeader.parse(peekHeader(bytes));
    const key = this.#trust.documentKeys.get(header.kid);
    if (key === undefined)
      throw refused(`the kept document of ${header.service} is signed by a key that is not pinned any more`);
    return documentBody.parse(openEnvelope("doc", bytes, key).body);
  }

  #outcomeOf(service: string, seq: number): Outcome | null {
    const ledger = this.#options.state.ledger(service);
    // One that failed is tried again at once: the world may be another after a boot.
    return ledger.seq === seq && ledger.outcome !== "failed" ? ledger.outcome : null;
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #pauseFlush(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }

  #isStopped(): boolean {
    return this.#stopped;
  }
}

/** The outcome of what could not be done, in a sentence with what to do. */
function failure(id: string, error: unknown): ResourceOutcome {
  const { message, details } = errorData(error);
  const why = details.remedy === undefined ? message : `${message}; ${details.remedy}`;
  return { id, outcome: "failed", why: why.slice(0, 2000), changes: [], restarts: [] };
}
