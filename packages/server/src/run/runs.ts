import { EventEmitter } from "node:events";
import {
  StackctlError,
  builtImage,
  errorData,
  galeraFound,
  galeraUuid,
  type ApplyResult,
  type Cause,
  type ResourceOutcome,
  type RunView,
  type Scope,
  type StepState,
} from "@stackctl/protocol";
import type { CompiledDocument } from "../compile/compile.ts";
import { emptyDocument, stepsOf } from "../compile/compile.ts";
import type { CloudHost, LoadedCloud } from "../config/model.ts";
import type { Decision } from "../store/changes.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Holds } from "../fleet/holds.ts";
import type { Permits } from "../fleet/permits.ts";
import type { AppliedRow, RunRow, StepRow, Store } from "../store/store.ts";
import type { Enroller } from "./enroller.ts";
import { localImage, localSet } from "../services/images.ts";
import { primaryOf, type HostPlan, type Planner } from "./planner.ts";
import type { Publisher } from "./publisher.ts";
import { leaveSteps, leftBehind, servicesOf } from "./removal.ts";
import { applyResultOf } from "./result.ts";
import { hostsOf, scopeText } from "./scope.ts";
import { untilNews } from "../until-news.ts";

/** The first step of every host: its agent is there, in the right version. */
export const enrolStep = "enrol";

/** True when what was skipped for this reason is done without a command as soon as it can be. */
export function isOwed(why: string | null): boolean {
  return why !== null && (why.startsWith("absent") || isHeld(why));
}

function isHeld(why: string | null): boolean {
  return why?.startsWith("held") === true;
}

/** A reboot that takes longer than this is worth a word; servers take minutes to test their memory. */
const rebootMs = 90_000;

/** An agent that is there and has not gone within this does not understand that it should, such as one of an older release. */
const leaveMs = 120_000;

export interface RunsOptions {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly planner: Planner;
  readonly publisher: Publisher;
  readonly enroller: Enroller;
  readonly permits: Pick<Permits, "waiting">;
  readonly holds: Pick<Holds, "why">;
  /** Asks an agent to take itself away. @returns services that it has to be rid of first @throws StackctlError `agent_unreachable` */
  readonly askToLeave: (host: string) => Promise<readonly string[]>;
  /** Lets a host in no more, and drops what was known of it beside the decisions; safe to repeat. */
  readonly dismiss: (host: string) => Promise<void>;
  /** Reads a cloud from the text that a run was started with. */
  readonly parse: (text: string) => LoadedCloud;
  readonly log: (fields: Record<string, unknown>, message: string) => void;
}

/** Where one step of one host is, while the run is under way. */
interface Live {
  state: StepState;
  doing: string | null;
  sinceMs: number;
  startedMs: number;
}

/** A run under way in this process. */
interface Active {
  readonly row: RunRow;
  readonly loaded: LoadedCloud;
  /** Steps in order, with their hosts, for the view. */
  plan: { service: string; hosts: string[] }[];
  /** The host that it removes; null: it is an apply. */
  readonly removes: string | null;
  readonly live: Map<string, Live>;
  /** Hosts whose chains have ended. */
  readonly over: Set<string>;
}

/** What one host said of one document that it was shown. */
type PlannedService =
  Extract<HostPlan, { state: "known" }>["services"] extends ReadonlyMap<string, infer T> ? T : never;
/** What a host said of the documents that it was shown, by service, each with the digest that it was about. */
type Said = Map<string, { readonly digest: string; readonly plan: PlannedService | null }>;

/** How the reason of a step begins that waits for what another host has to make. */
const waitsPrefix = "waits: ";

/** All that a step needs of its host once that is enrolled. */
type Named = Pick<CloudHost, "name">;

/** Takes the steps of one host, one after the other. */
interface Taker {
  /** Does the work of a step unless it is done already, or something before it has ended the chain. */
  readonly take: (service: string, work: () => Promise<Done>) => Promise<void>;
  /** True for a step that ended in a former life of this run. */
  readonly isOver: (service: string) => boolean;
  /** Goes on although the host is away. */
  readonly goOnWithout: () => void;
}

/** Says that a host's chain ends here, for a reason that is no failure. */
class Skip extends Error {}

/**
 * The run engine. A run is one chain per host; a chain takes its steps in order, and a host that waits or fails
 * holds up nobody else. Everything that counts is in the store before it is acted on, so a run that was killed at
 * any instruction is started again from its row and ends as it would have.
 */
export class Runs {
  readonly #options: RunsOptions;
  readonly #active = new Map<number, Active>();
  readonly #emitter = new EventEmitter<{ news: [] }>();
  #stopped = false;

  constructor(options: RunsOptions) {
    this.#options = options;
    this.#emitter.setMaxListeners(0);
  }

  /**
   * Starts a run, or joins the one of the same scope and the same file that is under way.
   * @param first what is decided right before, once nothing speaks against the run; then none is joined. @default nothing
   * @throws StackctlError `server_busy` when another run is under way; `host_unknown`; `secret_missing`
   */
  start(
    scope: Scope,
    loaded: LoadedCloud,
    cause: Cause,
    by: string,
    first: readonly Decision[] = [],
  ): { runId: number; joined: boolean } {
    const { store } = this.#options;
    const hosts = hostsOf(loaded.cloud, scope);
    // Whatever cannot be compiled is said now, before there is a run.
    for (const host of hosts) this.#options.planner.compile(loaded, host);
    for (const { row } of this.#active.values()) {
      const same = JSON.stringify(row.scope) === JSON.stringify(scope) && row.cloudText === loaded.text;
      if (same && first.length === 0) return { runId: row.id, joined: true };
      if (row.hosts.some((name) => hosts.some((host) => host.name === name))) {
        throw new StackctlError(
          "server_busy",
          `run ${String(row.id)} (${scopeText(row.scope)}) is under way`,
          {
            retryable: true,
            details: { remedy: `stackctl runs attach ${String(row.id)}` },
          },
        );
      }
    }
    // One that left the file is none any more, and stays none when it comes back: another has done its work since.
    const primary = primaryOf(loaded.cloud, store.primary());
    if (store.primary() !== primary) store.decide(by, { type: "primary.chosen", host: primary });
    for (const decision of first) store.decide(by, decision);
    const runId = store.decide(by, {
      type: "run.started",
      scope,
      hosts: hosts.map((host) => host.name),
      cloudText: loaded.text,
      cause,
    });
    if (runId === null) throw new Error("a run has no id");
    const row = store.run(runId);
    if (row === null) throw new Error(`run ${String(runId)} is not in the store`);
    this.#note(
      row,
      null,
      null,
      "run.started",
      `${scopeText(scope)}, ${String(hosts.length)} hosts; ${cause.text}`,
    );
    this.#execute(row, loaded);
    return { runId, joined: false };
  }

  /**
   * Starts the removal of a host that is not in the file any more, or joins the one that is under way.
   * @throws StackctlError `server_busy` when a run about it is under way
   */
  remove(host: string, loaded: LoadedCloud, by: string): { runId: number; joined: boolean } {
    const { store } = this.#options;
    for (const { row, removes } of this.#active.values()) {
      if (removes === host) return { runId: row.id, joined: true };
      if (row.hosts.includes(host)) {
        throw new StackctlError(
          "server_busy",
          `run ${String(row.id)} (${scopeText(row.scope)}) is under way`,
          {
            retryable: true,
            details: { remedy: `stackctl runs attach ${String(row.id)}` },
          },
        );
      }
    }
    const cause: Cause = { kind: "removal", text: `removal by ${by}` };
    const runId = store.decide(by, { type: "removal.started", host, cloudText: loaded.text, cause });
    const row = runId === null ? null : store.run(runId);
    if (row === null) throw new Error(`the removal of ${host} is not in the store`);
    this.#note(row, host, null, "removal.started", `${host} is removed; ${cause.text}`);
    this.#execute(row, loaded);
    return { runId: row.id, joined: false };
  }

  /** Goes on with every run that was under way when the server ended. */
  resume(): void {
    for (const row of this.#options.store.openRuns()) {
      this.#options.log({ runId: row.id }, "run resumed");
      this.#execute(row, this.#options.parse(row.cloudText));
    }
  }

  /**
   * A host is there, perhaps again: what it was left out of is done now, without anybody asking.
   * Nothing is owed unless its newest steps were skipped because it was away or held.
   */
  hostReturned(host: string, loaded: LoadedCloud): void {
    if (this.#busy(host)) return;
    if (
      !(this.owed(host) || this.#canGoOn(host, loaded)) ||
      !loaded.cloud.hosts.some(({ name }) => name === host)
    )
      return;
    try {
      this.start([host], loaded, { kind: "return", text: this.#whyOwed(host) }, "server");
    } catch (error) {
      // Such as a secret that is missing: nobody asked for this run, so nobody is told but the log; status still says what is owed.
      this.#options.log({ host, err: error }, "a returned host is not completed");
    }
  }

  /** True when the host was left out of something because it was away, or held and is not any more. */
  owed(host: string): boolean {
    return this.#owedSteps(host).length > 0;
  }

  #owedSteps(host: string): StepRow[] {
    const { store, holds } = this.#options;
    if (holds.why(host, null) !== null) return [];
    const steps = store.lastSteps(host);
    // A run takes every step of a host: one that only an earlier run had is of a service that the cloud has no more.
    const newest = Math.max(...steps.map(({ run }) => run));
    return steps
      .filter(({ run }) => run === newest)
      .filter(({ outcome, why }) => outcome === "skipped" && isOwed(why))
      .filter(({ service, why }) => !isHeld(why) || holds.why(host, service) === null);
  }

  #whyOwed(host: string): string {
    const held = this.#owedSteps(host).filter(({ why }) => isHeld(why));
    if (held.length === 0) return `${host} returned`;
    return `${held.map(({ service }) => service).join(", ")} of ${host} held no more`;
  }

  /** True when a step of the host waited for something that is there now. */
  #canGoOn(host: string, loaded: LoadedCloud): boolean {
    const waited = this.#options.store
      .lastSteps(host)
      .filter((step) => step.outcome === "skipped" && step.why?.startsWith(waitsPrefix) === true);
    const known = loaded.cloud.hosts.find(({ name }) => name === host);
    if (waited.length === 0 || known === undefined) return false;
    const { waiting } = this.#options.planner.compile(loaded, known);
    return waited.every(({ service }) => !waiting.has(service));
  }

  /** True while any run is under way. */
  underWay(): boolean {
    return this.#active.size > 0;
  }

  /** The run as it is now. @throws StackctlError `run_unknown` */
  view(runId: number): RunView {
    const row = this.#options.store.run(runId);
    if (row === null) {
      throw new StackctlError("run_unknown", `there is no run ${String(runId)}`, {
        details: { remedy: "stackctl events" },
      });
    }
    const steps = this.#options.store.steps(runId);
    const active = this.#active.get(runId);
    const base = {
      id: row.id,
      cloud: active?.loaded.cloud.name ?? this.#options.parse(row.cloudText).cloud.name,
      scope: row.scope,
      cause: row.cause,
      state: row.endedAt === null ? ("running" as const) : ("done" as const),
      startedAt: row.startedAt,
      steps: this.#viewSteps(row, steps, active),
    };
    return row.endedAt === null ? base : { ...base, result: applyResultOf(row, steps) };
  }

  /** Resolves at the next news of any run, or after `waitMs`. */
  async news(waitMs: number): Promise<void> {
    await untilNews((heard) => {
      this.#emitter.on("news", heard);
      return () => this.#emitter.off("news", heard);
    }, waitMs);
  }

  /** Something that a view shows has changed. */
  touch(): void {
    this.#emitter.emit("news");
  }

  /** Ends taking steps; what is under way goes on when the server starts again. */
  stop(): void {
    this.#stopped = true;
  }

  #isStopped(): boolean {
    return this.#stopped;
  }

  #busy(host: string): boolean {
    return [...this.#active.values()].some(({ row }) => row.hosts.includes(host));
  }

  #execute(row: RunRow, loaded: LoadedCloud): void {
    const hosts = loaded.cloud.hosts.filter((host) => row.hosts.includes(host.name));
    const compiled = new Map(hosts.map((host) => [host.name, this.#options.planner.compile(loaded, host)]));
    const removes = this.#options.store.removal(row.id)?.host ?? null;
    const active: Active = {
      row,
      loaded,
      plan: removes === null ? stepsOf(loaded.cloud, compiled) : this.#leavePlan(row, removes),
      removes,
      live: new Map(),
      over: new Set(),
    };
    this.#active.set(row.id, active);
    const work =
      removes === null
        ? hosts.map((host) => ({ host, chain: this.#chain(active, host) }))
        : [{ host: { name: removes }, chain: this.#leaveChain(active, removes) }];
    const chains = work.map(async ({ host, chain }) => {
      await chain.catch((error: unknown) => {
        // Not a step's failure but of what leads from one to the next, such as a secret that is gone.
        this.#options.log({ runId: row.id, host: host.name, err: error }, "chain ended early");
        this.#note(row, host.name, null, "step.failed", reason(error));
        this.#options.store.decide("server", {
          type: "step.ended",
          run: row.id,
          host: host.name,
          service: "compile",
          outcome: "failed",
          why: reason(error),
          resources: [],
          seconds: 0,
        });
      });
      active.over.add(host.name);
      this.touch();
    });
    void Promise.all(chains).then(() => {
      if (this.#isStopped()) return;
      const seconds = (Date.now() - Date.parse(row.startedAt)) / 1000;
      this.#options.store.decide("server", { type: "run.ended", run: row.id, seconds });
      const ended = this.#options.store.run(row.id);
      const result = ended === null ? null : applyResultOf(ended, this.#options.store.steps(row.id));
      this.#note(row, null, null, "run.done", result === null ? "done" : summary(result));
      this.#active.delete(row.id);
      this.touch();
    });
  }

  #taker(active: Active, host: Named): Taker {
    const { store } = this.#options;
    const { row } = active;
    const ended = new Map(
      store
        .steps(row.id)
        .filter((step) => step.host === host.name)
        .map((step) => [step.service, step]),
    );
    const chain: { blocked: { outcome: StepRow["outcome"]; service: string; why: string } | null } = {
      blocked: null,
    };

    const take = async (service: string, work: () => Promise<Done>): Promise<void> => {
      const before = ended.get(service);
      if (before !== undefined) {
        if (blocks(service, before)) {
          chain.blocked ??= { outcome: before.outcome, service, why: before.why ?? "" };
        }
        return;
      }
      const live = this.#begin(active, host.name, service);
      let done: Done;
      if (chain.blocked !== null) {
        const why =
          chain.blocked.outcome === "skipped" ? chain.blocked.why : `${chain.blocked.service} failed`;
        done = { outcome: "skipped", why, resources: [] };
      } else {
        try {
          done = await work();
        } catch (error) {
          if (this.#isStopped()) return;
          done = { outcome: error instanceof Skip ? "skipped" : "failed", why: reason(error), resources: [] };
          if (!(error instanceof StackctlError) && !(error instanceof Skip)) {
            this.#options.log({ host: host.name, service, err: error }, "step failed unexpectedly");
          }
        }
      }
      if (this.#isStopped()) return;
      const first = chain.blocked === null;
      if (blocks(service, done)) chain.blocked ??= { outcome: done.outcome, service, why: done.why ?? "" };
      const seconds = (Date.now() - live.startedMs) / 1000;
      store.decide("server", {
        type: "step.ended",
        run: row.id,
        host: host.name,
        service,
        outcome: done.outcome,
        why: done.why,
        resources: done.resources,
        seconds,
      });
      this.#set(active, host.name, service, done.outcome, null);
      // What follows from one failure is one line, not ten.
      if (done.outcome !== "unchanged" && (first || done.outcome !== "skipped")) {
        this.#note(
          row,
          host.name,
          service,
          `step.${done.outcome}`,
          done.why ??
            `${String(done.resources.filter(({ outcome }) => outcome === "changed").length)} changed in ${seconds.toFixed(1)} s`,
        );
      }
    };
    return {
      take,
      isOver: (service) => ended.has(service),
      goOnWithout: () => {
        if (chain.blocked?.why.startsWith("absent") === true) chain.blocked = null;
      },
    };
  }

  /** All steps of one host. Never throws: how it ended is in the store. */
  async #chain(active: Active, host: CloudHost): Promise<void> {
    const { take, isOver } = this.#taker(active, host);
    await take(enrolStep, () => this.#enrol(active, host));
    if (this.#isStopped()) return;
    // Only now is all known that documents depend on, such as whether this host owes a reboot.
    const { planner } = this.#options;
    const steps = stepsOf(
      active.loaded.cloud,
      new Map([[host.name, planner.compile(active.loaded, host)]]),
    ).map(({ service }) => service);
    for (const service of steps) {
      const step = active.plan.find((each) => each.service === service);
      if (step === undefined) active.plan.push({ service, hosts: [host.name] });
      else if (!step.hosts.includes(host.name)) step.hosts.push(host.name);
    }
    const said: Said = new Map();
    for (const service of steps) {
      await take(service, async () => {
        await this.#others(active, host, service);
        // Compiled anew: what other steps made, such as an image, is known only now.
        const { documents, waiting } = planner.compile(active.loaded, host);
        const waits = waiting.get(service);
        if (waits !== undefined) throw new Skip(this.#whyWaits(active, host, service, waits));
        const document = documents.find((each) => each.service === service);
        if (document === undefined) return { outcome: "unchanged", why: null, resources: [] };
        if (said.get(service)?.digest !== document.digest)
          await this.#ask(
            host,
            documents.filter((each) => !isOver(each.service)),
            said,
          );
        const done = await this.#apply(active, host, document, said.get(service)?.plan ?? null);
        // What it gave may be what its own document is made of, such as the id of a cluster that was founded.
        const next = planner.compile(active.loaded, host).documents.find((each) => each.service === service);
        if (done.outcome === "failed" || next === undefined || next.digest === document.digest) return done;
        return joined(done, await this.#apply(active, host, next, null));
      });
      if (this.#isStopped()) return;
    }
  }

  /** What a removal still has to take away, after what it took away before it was killed. */
  #leavePlan(row: RunRow, host: string): Active["plan"] {
    const { store, fleet } = this.#options;
    const known = store.steps(row.id).map(({ service }) => service);
    const last: string[] = Object.values(leaveSteps);
    const left = fleet.presence(host)?.status?.left ?? [];
    const names = new Set([
      ...known.filter((name) => !last.includes(name)),
      ...servicesOf(host, store, left),
      ...last,
    ]);
    return [...names].map((service) => ({ service, hosts: [host] }));
  }

  /** Takes away all that was made on a host, then its agent; one that is off for good is let go as it is. */
  async #leaveChain(active: Active, host: string): Promise<void> {
    const { store, dismiss } = this.#options;
    const { take, goOnWithout } = this.#taker(active, { name: host });
    const last: string[] = Object.values(leaveSteps);
    for (const { service } of active.plan) {
      if (last.includes(service)) continue;
      await take(service, () => this.#takeAway(active, host, service));
      if (this.#isStopped()) return;
    }
    await take(leaveSteps.agent, () => this.#leave(active, host));
    if (this.#isStopped()) return;
    goOnWithout();
    await take(leaveSteps.forget, async () => {
      const run = active.row.id;
      const isClean = store.removal(run)?.kept !== null;
      const why = isClean ? null : leftBehind(host, store);
      if (store.agent(host) !== null) store.decide("server", { type: "host.removed", host, run });
      await dismiss(host);
      return { outcome: "changed", why, resources: [{ id: `host/${host}`, outcome: "changed" }] };
    });
  }

  /** Takes one service away from a host that is removed. @throws Skip when it is off */
  #takeAway(active: Active, host: string, service: string): Promise<Done> {
    const presence = this.#options.fleet.presence(host);
    // It is let go anyway: nothing is to wait for it that it would do should it ever return.
    if (presence?.state === "absent")
      throw new Skip(`absent: ${host} is off since ${clock(presence.sinceMs)}`);
    return this.#apply(active, { name: host }, emptyDocument(service), null);
  }

  /** Lets the agent take itself away. @throws Skip when the host is off */
  async #leave(active: Active, host: string): Promise<Done> {
    const { store, fleet, askToLeave } = this.#options;
    let askedMs: number | null = null;
    for (;;) {
      const kept = store.removal(active.row.id)?.kept ?? null;
      if (kept !== null)
        return {
          outcome: "changed",
          why: null,
          resources: [{ id: "agent/stackctl-agent", outcome: "changed", why: "removed" }],
        };
      if (this.#isStopped()) throw new Skip("the server stops");
      const presence = fleet.presence(host);
      if (presence === null || presence.state === "absent")
        throw new Skip(`absent: ${host} is off since ${clock(presence?.sinceMs ?? Date.now())}`);
      if (presence.state === "ok") {
        this.#set(active, host, leaveSteps.agent, "running", "asking the agent to take itself away");
        askedMs ??= Date.now();
        if (Date.now() - askedMs > leaveMs) {
          throw new StackctlError("agent_unreachable", `the agent on ${host} is there but does not go`, {
            details: {
              host,
              remedy: `let ${host} go as it is: there, systemctl stop stackctl-agent; then again`,
            },
          });
        }
        for (const service of await this.#stillThere(host, askToLeave)) {
          const { outcome, why } = await this.#takeAway(active, host, service);
          if (outcome === "failed") return { outcome, why, resources: [] };
        }
      } else {
        askedMs = null;
        const why = `${host} is off since ${clock(presence.sinceMs)}`;
        this.#set(active, host, leaveSteps.agent, "waiting", why);
      }
      await this.#newsOf(host, 1000);
    }
  }

  /** What the agent has to be rid of before it can go; nothing when it is away just now. */
  async #stillThere(host: string, ask: RunsOptions["askToLeave"]): Promise<readonly string[]> {
    try {
      return await ask(host);
    } catch (error) {
      if (error instanceof StackctlError && error.code === "agent_unreachable") return [];
      throw error;
    }
  }

  /** Asks the host what these documents would change, and notes the answers. */
  async #ask(host: CloudHost, documents: readonly CompiledDocument[], said: Said): Promise<void> {
    const plan = await this.#options.planner.planHost(host.name, documents);
    for (const { service, digest } of documents)
      said.set(service, {
        digest,
        plan: plan.state === "known" ? (plan.services.get(service) ?? null) : null,
      });
  }

  /**
   * Waits until the steps of other hosts that come before this one are over.
   * @throws Skip when one of them failed: what breaks one member must not go on to the next. One that was left out, such as
   *   that of a host that is off, holds nobody up
   */
  async #others(active: Active, host: CloudHost, service: string): Promise<void> {
    for (const before of this.#options.planner.before(active.loaded, host, service)) {
      const isOver = (): boolean =>
        !active.row.hosts.includes(before.host) ||
        // It has no such step: whoever waited for it would wait for the whole host, and that perhaps for this one.
        !active.plan.some((step) => step.service === before.service && step.hosts.includes(before.host)) ||
        active.over.has(before.host) ||
        this.#options.store
          .steps(active.row.id)
          .some((step) => step.host === before.host && step.service === before.service);
      while (!isOver()) {
        if (this.#isStopped()) throw new Skip("the server stops");
        this.#set(active, host.name, service, "waiting", `waits for ${before.service} on ${before.host}`);
        await this.news(5000);
      }
      const hasFailed = this.#options.store
        .steps(active.row.id)
        .some(
          (step) => step.host === before.host && step.service === before.service && step.outcome === "failed",
        );
      if (hasFailed) throw new Skip(`${before.service} failed on ${before.host}`);
      this.#set(active, host.name, service, "running", null);
    }
  }

  /** Why a step cannot be said even now: what it waited for did not come to a good end. */
  #whyWaits(active: Active, host: CloudHost, service: string, waits: string): string {
    const steps = this.#options.store.steps(active.row.id);
    const bad = this.#options.planner
      .before(active.loaded, host, service)
      .map((before) => steps.find((step) => step.host === before.host && step.service === before.service))
      .find((step) => step?.outcome === "failed" || step?.outcome === "skipped");
    return `${waitsPrefix}${waits}${bad === undefined ? "" : `, for ${bad.service} ${bad.outcome} on ${bad.host}`}`;
  }

  /** @throws Skip when a person wants this left alone */
  #assertNotHeld(host: Named, service: string | null): void {
    const why = this.#options.holds.why(host.name, service);
    if (why !== null) throw new Skip(why);
  }

  async #enrol(active: Active, host: CloudHost): Promise<Done> {
    this.#assertNotHeld(host, null);
    const say = (doing: string, state: StepState = "running"): void => {
      this.#set(active, host.name, enrolStep, state, doing);
    };
    const deadlineMs = Date.now() + active.loaded.cloud.absentAfterSeconds * 1000;
    const what = await this.#options.enroller.ensure(host, active.loaded.cloud, {
      run: active.row.id,
      say,
      waiting: (why) => {
        if (this.#live(active, host.name, enrolStep)?.state !== "waiting")
          this.#note(active.row, host.name, enrolStep, "host.waiting", why);
        say(why, "waiting");
      },
      absent: (why) => new Skip(`absent: ${why}`),
      deadlineMs,
      stopped: () => this.#stopped,
    });
    return { outcome: what, why: null, resources: [{ id: "agent/stackctl-agent", outcome: what }] };
  }

  async #apply(
    active: Active,
    host: Named,
    document: CompiledDocument,
    said: PlannedService | null,
  ): Promise<Done> {
    const { store, publisher } = this.#options;
    this.#assertNotHeld(host, document.service);
    const agent = store.agent(host.name);
    if (agent === null) throw new Error(`${host.name} is not enrolled`);
    const issued = store.document(host.name, document.service);
    const mine =
      issued?.run === active.row.id &&
      issued.body.digest === document.digest &&
      issued.incarnation === agent.incarnation;
    if (!mine && said?.held === true && said.resources.every(({ outcome }) => outcome === "unchanged")) {
      this.#record(host.name, said.resources);
      return {
        outcome: "unchanged",
        why: null,
        resources: said.resources.map(({ id }) => ({ id, outcome: "unchanged" })),
      };
    }
    const row = mine
      ? issued
      : await publisher.issue(agent, document, { ...active.row.cause, run: active.row.id }, active.row.id);
    // After a kill between the decision and the publication the document may never have left.
    if (mine && store.applied(host.name, document.service)?.seq !== row.seq)
      await publisher.publish(agent, row);

    const applied = await this.#waitForResult(active, host, document.service, row.seq);
    this.#record(host.name, applied.resources);
    const failed = applied.resources.find((resource) => resource.outcome === "failed");
    return {
      outcome: applied.outcome === "planned" ? "failed" : applied.outcome,
      why: failed === undefined ? null : `${failed.id}: ${failed.why ?? "failed"}`,
      resources: applied.resources.map(({ id, outcome, why }) => ({
        id,
        outcome,
        ...(why === undefined ? {} : { why }),
      })),
    };
  }

  /** Keeps what resources gave that others depend on. What an agent says is taken as it stands only in its form. */
  #record(host: string, resources: readonly ResourceOutcome[]): void {
    const { store } = this.#options;
    for (const { id, outputs } of resources) {
      const [type, set] = id.split("/");
      if (outputs === undefined) continue;
      if (store.galera() === null) this.#recordGalera(host, type, outputs);
      if (type !== "image-set") continue;
      for (const [name, text] of Object.entries(outputs)) {
        const { sizeBytes, ...image } = builtImage.parse(JSON.parse(text));
        const key = set === localSet ? localImage(name) : name;
        const known = store.images().get(key);
        if (known?.recipe === image.recipe && known.id === image.id && known.digest === image.digest)
          continue;
        store.decide("server", {
          type: "image.built",
          name: key,
          ...image,
          ...(sizeBytes === undefined ? {} : { sizeBytes }),
        });
      }
    }
  }

  /** Until the databases' cluster is founded: what was there before it, and then which one it is. */
  #recordGalera(host: string, type: string | undefined, outputs: Readonly<Record<string, string>>): void {
    const { store } = this.#options;
    const { data, uuid } = outputs;
    if (type === "galera-data" && data !== undefined) {
      const found = JSON.stringify(galeraFound.parse(JSON.parse(data)));
      if (JSON.stringify(store.galeraLooks().get(host)) === found) return;
      store.decide("server", { type: "galera.looked", host, found });
    } else if (type === "galera-member" && uuid !== undefined && host === store.primary())
      store.decide("server", { type: "galera.born", uuid: galeraUuid.parse(uuid) });
  }

  /** The agent's result of one document; throws Skip when the host is away for longer than the cloud allows. */
  async #waitForResult(active: Active, host: Named, service: string, seq: number): Promise<AppliedRow> {
    const { store, fleet, permits } = this.#options;
    for (;;) {
      const applied = store.applied(host.name, service);
      if (applied?.seq === seq) return applied;
      this.#assertNotHeld(host, service);
      const presence = fleet.presence(host.name);
      if (presence?.state === "absent")
        throw new Skip(`absent: ${host.name} is off since ${clock(presence.sinceMs)}`);
      if (presence !== null && presence.state !== "ok") {
        const why =
          presence.state === "rebooting"
            ? `${host.name} reboots since ${clock(presence.sinceMs)}`
            : `${host.name} is off since ${clock(presence.sinceMs)}`;
        const overdue = presence.state !== "rebooting" || Date.now() - presence.sinceMs > rebootMs;
        if (overdue && this.#live(active, host.name, service)?.state !== "waiting") {
          this.#note(
            active.row,
            host.name,
            service,
            "host.waiting",
            `${why}, waiting for it; the others go on`,
          );
        }
        this.#set(active, host.name, service, overdue ? "waiting" : "running", why);
      } else {
        const waits = permits.waiting(host.name, service);
        if (waits !== null && this.#live(active, host.name, service)?.state !== "waiting")
          this.#note(active.row, host.name, service, "permit.waiting", waits);
        this.#set(
          active,
          host.name,
          service,
          waits === null ? "running" : "waiting",
          waits ?? presence?.status?.doing ?? null,
        );
      }
      if (this.#isStopped()) throw new Skip("the server stops");
      await this.#newsOf(host.name, 5000);
    }
  }

  /** Resolves at the next news of a host, or after `waitMs`. */
  async #newsOf(host: string, waitMs: number): Promise<void> {
    await untilNews((heard) => this.#options.fleet.onNews(host, heard), waitMs);
  }

  #begin(active: Active, host: string, service: string): Live {
    const live: Live = { state: "running", doing: null, sinceMs: Date.now(), startedMs: Date.now() };
    active.live.set(key(host, service), live);
    this.touch();
    return live;
  }

  #live(active: Active, host: string, service: string): Live | undefined {
    return active.live.get(key(host, service));
  }

  #set(active: Active, host: string, service: string, state: StepState, doing: string | null): void {
    const live = this.#live(active, host, service);
    if (live === undefined || (live.state === state && live.doing === doing)) return;
    live.state = state;
    live.doing = doing;
    live.sinceMs = Date.now();
    this.touch();
  }

  #viewSteps(row: RunRow, steps: readonly StepRow[], active: Active | undefined): RunView["steps"] {
    const order =
      active === undefined
        ? [...new Set(steps.map((step) => step.service))].map((service) => ({ service, hosts: row.hosts }))
        : [...(active.removes === null ? [{ service: enrolStep, hosts: row.hosts }] : []), ...active.plan];
    return order.map(({ service, hosts }) => ({
      service,
      hosts: hosts.flatMap((host): RunView["steps"][number]["hosts"] => {
        const step = steps.find((each) => each.host === host && each.service === service);
        if (step !== undefined) {
          return [
            {
              host,
              state: step.outcome,
              seconds: step.seconds,
              ...(step.why === null ? {} : { doing: step.why }),
            },
          ];
        }
        const live = active?.live.get(key(host, service));
        if (live === undefined) return active === undefined ? [] : [{ host, state: "pending" as const }];
        return [
          {
            host,
            state: live.state,
            since: new Date(live.sinceMs).toISOString(),
            ...(live.doing === null ? {} : { doing: live.doing }),
          },
        ];
      }),
    }));
  }

  #note(row: RunRow, host: string | null, service: string | null, type: string, text: string): void {
    this.#options.store.addEvent({
      at: new Date().toISOString(),
      host,
      service,
      resource: null,
      type,
      text,
      run: row.id,
    });
    this.touch();
  }
}

/** True when nothing comes after this step on its host. What is held of a host ends only what needs it. */
function blocks(service: string, { outcome, why }: Pick<StepRow, "outcome" | "why">): boolean {
  return outcome === "failed" || (outcome === "skipped" && (service === enrolStep || !isHeld(why)));
}

type Done = Pick<StepRow, "outcome" | "why" | "resources">;

/** What two documents of one step came to, the second made of what the first gave. */
function joined(first: Done, second: Done): Done {
  if (second.outcome !== "unchanged") return second;
  const resources = second.resources.map(
    (resource) => first.resources.find(({ id }) => id === resource.id) ?? resource,
  );
  return { outcome: first.outcome, why: null, resources };
}

function key(host: string, service: string): string {
  return `${host}/${service}`;
}

function clock(ms: number): string {
  return new Date(ms).toLocaleTimeString("en-GB");
}

/** The sentence that a person reads, with the remedy where there is one. */
function reason(error: unknown): string {
  if (error instanceof Skip) return error.message;
  const { message, details } = errorData(error);
  return details.remedy === undefined ? message : `${message}; ${details.remedy}`;
}

function summary(result: ApplyResult): string {
  const { changed, unchanged, skipped, failed } = result.totals;
  const away = result.hosts.filter(({ why }) => why?.startsWith("absent") === true).map(({ name }) => name);
  const parts = [
    `${String(changed)} changed`,
    `${String(unchanged)} unchanged`,
    ...(skipped > 0 ? [`${String(skipped)} skipped`] : []),
    ...(failed > 0 ? [`${String(failed)} failed`] : []),
    ...(away.length > 0 ? [`absent: ${away.join(", ")}`] : []),
  ];
  return `done in ${result.seconds.toFixed(1)} s: ${parts.join(", ")}`;
}
