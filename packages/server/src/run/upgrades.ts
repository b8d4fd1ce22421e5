import { EventEmitter } from "node:events";
import { statSync } from "node:fs";
import {
  errorData,
  releaseAnswer,
  StackctlError,
  type AgentRequest,
  type ReleaseAnswer,
  type UpgradeState,
  type UpgradeView,
} from "@stackctl/protocol";
import { archivePiece, manifestOf, runtimeOf, type Runtime } from "../bootstrap/runtime.ts";
import type { CloudHost } from "../config/model.ts";
import type { Questions } from "../fleet/ask.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Holds } from "../fleet/holds.ts";
import type { HeldBefore, UpgradeStep } from "../store/changes.ts";
import type { Store, UpgradeHostRow, UpgradeRow } from "../store/store.ts";
import { canaryOf, hear, judge, told, type Heard } from "./upgrade-rule.ts";
import { untilNews } from "../until-news.ts";

/** So many hosts at once, after the canary. */
const parallel = 16;
/** A host hashes what it has, or unpacks what came, before it answers. */
const answerMs = 20_000;
/** How long an agent that was confirmed may take to write that down. */
const confirmMs = 3000;
/** After a restart of the server, agents are given this long to be heard again. */
const returnMs = 15_000;
/** A transfer that was cut off is taken up again this often. */
const sendTries = 5;

export interface UpgradesOptions {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly questions: Pick<Questions, "ask">;
  readonly holds: Pick<Holds, "why">;
  /** The release that is built into this server. */
  readonly builtIn: () => Promise<Runtime>;
  /** A release with this bundle. */
  readonly withBundle: (file: string) => Promise<Runtime>;
  /** Where files of releases are kept by content. */
  readonly cacheDir: string;
  readonly log: (fields: Record<string, unknown>, message: string) => void;
}

interface Active {
  readonly id: number;
  readonly done: Promise<void>;
}

/**
 * Brings agents to another release over NATS: the canary first, the others once that is well, and back again those that
 * were well when another is not. Every host goes back by itself from what is not confirmed. Decided before it is done: an
 * upgrade whose server was killed goes on when that starts again.
 */
export class Upgrades {
  readonly #options: UpgradesOptions;
  readonly #emitter = new EventEmitter<{ news: [] }>();
  /** What hosts do right now. */
  readonly #doing = new Map<string, string>();
  #active: Active | null = null;
  #stopped = false;

  constructor(options: UpgradesOptions) {
    this.#options = options;
    this.#emitter.setMaxListeners(0);
  }

  /** The release that hosts are brought to: the built-in one, or what a person chose in place of this very one. */
  async wanted(): Promise<Runtime> {
    const { store, builtIn, cacheDir } = this.#options;
    const own = await builtIn();
    const chosen = store.chosenRelease();
    if (chosen?.insteadOf !== own.release) return own;
    return runtimeOf(chosen.manifest, cacheDir) ?? own;
  }

  /** The release that a host's agent said that it runs; null: it never did. */
  running(host: string): string | null {
    return this.#options.fleet.presence(host)?.status?.release ?? null;
  }

  /**
   * A person wants these hosts upgraded; the same again joins what is under way.
   * @param bundle null: the release that is built in
   * @throws StackctlError `server_busy`; `usage` when the primary alone would have to go first, or there is no such bundle
   */
  async ask(hosts: readonly CloudHost[], bundle: string | null, by: string): Promise<UpgradeView> {
    const { store, builtIn, withBundle } = this.#options;
    const own = await builtIn();
    if (bundle !== null && statSync(bundle, { throwIfNoEntry: false })?.isFile() !== true)
      throw new StackctlError("usage", `${bundle} is no file`, { details: { remedy: "--bundle FILE" } });
    const runtime = bundle === null ? own : await withBundle(bundle);
    const { release } = runtime;
    if (this.#active !== null) {
      if (store.upgrade(this.#active.id)?.manifest.release === release) return this.view(this.#active.id);
      throw new StackctlError("server_busy", "another upgrade of agents is under way", {
        retryable: true,
        details: { remedy: "stackctl agent list" },
      });
    }
    const run = store.openRuns()[0];
    if (run !== undefined) {
      throw new StackctlError("server_busy", `run ${String(run.id)} is under way`, {
        retryable: true,
        details: { remedy: `stackctl runs attach ${String(run.id)}` },
      });
    }
    const rows = hosts.map((host) => this.#first(host, release));
    const todo = hosts.filter(({ name }) =>
      rows.some(({ host, step }) => host === name && step === "waiting"),
    );
    const isWanted = (await this.wanted()).release === release;
    if (todo.length === 0 && (isWanted || rows.every(({ step }) => step === "skipped")))
      return unchangedView(release, rows, (host) => this.running(host));
    const canary = canaryOf(todo, store.primary());
    const [alone] = todo;
    const isTried = store.agents().some(({ host }) => this.running(host) === release);
    if (alone !== undefined && canary === null && !isTried && store.agents().length > 1) {
      throw new StackctlError("usage", `${alone.name} is the primary: no release is tried on it first`, {
        details: { host: alone.name, remedy: "stackctl agent upgrade" },
      });
    }
    const insteadOf = release === own.release ? null : own.release;
    return this.view(this.#start({ runtime, insteadOf, rows, canary, run: 0, by }));
  }

  /**
   * A run needs this host's agent in the wanted release: begins an upgrade of all hosts of the run that are there, or
   * waits for the one that is under way.
   * @throws StackctlError `upgrade_failed` saying why it still runs another
   */
  async bring(
    host: CloudHost,
    all: readonly CloudHost[],
    run: number,
    say: (doing: string) => void,
  ): Promise<"unchanged" | "changed"> {
    const { store } = this.#options;
    const runtime = await this.wanted();
    const { release } = runtime;
    let last: number | null = null;
    for (;;) {
      if (this.#stopped) return "unchanged";
      if (this.#active !== null) {
        last = this.#active.id;
        await this.#follow(this.#active, host.name, say);
        continue;
      }
      if (this.running(host.name) === release) return last === null ? "unchanged" : "changed";
      const row = last === null ? null : this.#rowOf(last, host.name);
      if (last !== null && row !== null) {
        throw new StackctlError("upgrade_failed", row.why ?? `${host.name} does not run ${release}`, {
          details: { host: host.name, remedy: `on ${host.name}: journalctl -u stackctl-agent` },
        });
      }
      const chosen = store.chosenRelease();
      const own = await this.#options.builtIn();
      const insteadOf = release === own.release ? null : (chosen?.insteadOf ?? null);
      const rows = all.map((each) => this.#first(each, release)).filter(({ step }) => step === "waiting");
      const mine = rows.some((each) => each.host === host.name) ? rows : [this.#first(host, release)];
      const todo = all.filter(({ name }) => mine.some((each) => each.host === name));
      // Another chain may have begun one while the files were looked at.
      if (this.#isBusy()) continue;
      this.#start({
        runtime,
        insteadOf,
        rows: mine,
        canary: canaryOf(todo, store.primary()),
        run,
        by: "server",
      });
    }
  }

  /** Waits while an upgrade is under way that this host is part of. */
  async over(host: string, say: (doing: string) => void): Promise<void> {
    const active = this.#active;
    if (active !== null && this.#rowOf(active.id, host) !== null) await this.#follow(active, host, say);
  }

  /** Goes on with the upgrade that was under way when the server ended. */
  resume(): void {
    for (const row of this.#options.store.openUpgrades()) {
      this.#options.log({ upgrade: row.id }, "upgrade resumed");
      this.#execute(row);
    }
  }

  /** The upgrade as it is now. @throws StackctlError `upgrade_unknown` */
  view(id: number): UpgradeView {
    const { store } = this.#options;
    const row = store.upgrade(id);
    if (row === null) {
      throw new StackctlError("upgrade_unknown", `there is no upgrade ${String(id)}`, {
        details: { remedy: "stackctl agent list" },
      });
    }
    const hosts = store.upgradeHosts(id);
    const changed = hosts.some(({ step }) => step === "well");
    return {
      id,
      state: row.endedAt === null ? "running" : "done",
      release: row.manifest.release,
      outcome: row.outcome === "changed" && !changed ? "unchanged" : row.outcome,
      why: row.why,
      seconds: row.seconds ?? (Date.now() - Date.parse(row.startedAt)) / 1000,
      hosts: hosts.map(({ host, canary, from, step, why, startedAt, endedAt }) => ({
        host,
        canary,
        state: stateOf(step, this.#doing.has(host)),
        text: why ?? (row.endedAt === null ? (this.#doing.get(host) ?? null) : null),
        from,
        running: this.running(host),
        seconds:
          startedAt === null || endedAt === null
            ? null
            : Math.max(0, (Date.parse(endedAt) - Date.parse(startedAt)) / 1000),
      })),
    };
  }

  /** Resolves at the next news of the upgrade, or after `waitMs`. */
  async news(waitMs: number): Promise<void> {
    await untilNews((heard) => {
      this.#emitter.on("news", heard);
      return () => this.#emitter.off("news", heard);
    }, waitMs);
  }

  /** Ends taking steps; what is under way goes on when the server starts again. */
  stop(): void {
    this.#stopped = true;
    this.#emitter.emit("news");
  }

  #isStopped(): boolean {
    return this.#stopped;
  }

  #isBusy(): boolean {
    return this.#active !== null;
  }

  /** Where a host stands before anything is done. */
  #first(host: CloudHost, release: string): NewRow {
    const { store, fleet, holds } = this.#options;
    const { name } = host;
    const from = this.running(name);
    const row = (step: UpgradeStep, why: string | null): NewRow => ({ host: name, from, step, why });
    if (store.agent(name) === null) return row("skipped", `not set up yet; stackctl apply ${name}`);
    const held = holds.why(name, null);
    if (held !== null) return row("skipped", held);
    const presence = fleet.presence(name);
    if (presence?.state !== "ok") {
      const since = new Date(presence?.sinceMs ?? Date.now()).toLocaleTimeString("en-GB");
      return row("skipped", `absent: off since ${since}; when it is back: stackctl apply ${name}`);
    }
    if (from === release) return row("unchanged", null);
    if (from === null) return row("skipped", `its agent is from before upgrades; stackctl apply ${name}`);
    return row("waiting", null);
  }

  #start(what: {
    readonly runtime: Runtime;
    readonly insteadOf: string | null;
    readonly rows: readonly NewRow[];
    readonly canary: string | null;
    readonly run: number;
    readonly by: string;
  }): number {
    const { store } = this.#options;
    const { runtime, insteadOf, rows, canary, run, by } = what;
    const hosts = rows.map((row) => ({ ...row, canary: row.host === canary }));
    const manifest = manifestOf(runtime);
    const id = store.decide(by, { type: "upgrade.started", manifest, insteadOf, run, hosts });
    const row = id === null ? null : store.upgrade(id);
    if (row === null) throw new Error("an upgrade has no row");
    this.#note(
      row,
      null,
      "upgrade.started",
      `agents to ${runtime.release}, ${canary ?? "nobody"} first; by ${by}`,
    );
    this.#execute(row);
    return row.id;
  }

  #execute(row: UpgradeRow): void {
    const done = this.#work(row)
      .catch((error: unknown) => {
        if (this.#stopped) return;
        this.#options.log({ upgrade: row.id, err: error }, "upgrade ended early");
        this.#end(row, "failed", errorData(error).message);
      })
      .finally(() => {
        this.#active = null;
        this.#doing.clear();
        this.#emitter.emit("news");
      });
    this.#active = { id: row.id, done };
  }

  async #work(row: UpgradeRow): Promise<void> {
    const { store, cacheDir } = this.#options;
    const runtime = runtimeOf(row.manifest, cacheDir);
    if (runtime === null)
      throw new StackctlError("push_failed", `the files of ${row.manifest.release} are not kept any more`);
    const rows = (): UpgradeHostRow[] => store.upgradeHosts(row.id);
    const isBad = (): boolean => rows().some(({ step }) => step === "failed");
    const canary = rows().find((each) => each.canary);
    if (canary !== undefined && isOpen(canary.step)) await this.#upgrade(row, runtime, canary);
    if (this.#isStopped()) return;
    // A canary that went away has shown nothing.
    const isTried = canary === undefined || this.#rowOf(row.id, canary.host)?.step === "well";
    if (isTried) {
      const queue = rows().filter(({ step }) => isOpen(step));
      const worker = async (): Promise<void> => {
        for (let next = queue.shift(); next !== undefined; next = queue.shift())
          if (!this.#isStopped() && (!isBad() || next.step === "started"))
            await this.#upgrade(row, runtime, next);
      };
      await Promise.all(Array.from({ length: parallel }, worker));
      if (this.#isStopped()) return;
    }
    for (const { host } of rows().filter(({ step }) => step === "waiting"))
      this.#step(row, host, "skipped", "not touched, for another host did not come up with it");
    const bad = rows().find(({ step }) => step === "failed");
    if (bad === undefined) {
      this.#end(row, "changed", null);
      return;
    }
    // One release everywhere is worth more than a part of the new one.
    await Promise.all(
      rows()
        .filter(({ step }) => step === "well" || step === "returning")
        .map((each) => this.#takeBack(row, each)),
    );
    if (this.#isStopped()) return;
    const why = rows().find(({ step }) => step === "failed")?.why ?? "a host failed";
    const returned = rows().filter(({ step }) => step === "returned");
    const rest = returned.length === 0 ? "no other host was touched" : "those that ran it are back";
    this.#end(row, "failed", `${why}; ${rest}`);
  }

  /** Brings one host to the release. Never throws: how it ended is in the store. */
  async #upgrade(
    row: UpgradeRow,
    runtime: Runtime,
    { host, step, before, startedAt, canary }: UpgradeHostRow,
  ): Promise<void> {
    const { store } = this.#options;
    const { release } = runtime;
    try {
      if (!(await this.#isThere(host))) {
        if (this.#isStopped()) return;
        this.#step(row, host, canary ? "failed" : "skipped", `absent: ${host} went off before its turn`);
        return;
      }
      let heard: Heard;
      if (step === "started" && this.running(host) === release) {
        heard = told(Date.parse(startedAt ?? row.startedAt), null, before ?? []);
      } else {
        // Told by a former life of the server, and gone back because nobody confirmed it: that is no fault of it.
        await this.#send(host, runtime);
        if (this.#isStopped()) return;
        heard = await this.#tell(row, host, release, "started");
      }
      if (!(await this.#watch(host, release, heard))) return;
      this.#step(row, host, "well", null);
      store.decide("server", { type: "host.pushed", host, release, run: row.run });
      this.#note(row, host, "agent.upgraded", `agent now ${release}`);
    } catch (error) {
      if (this.#isStopped()) return;
      this.#failed(row, host, error);
    }
  }

  /** Takes a host back to what it ran before; the files are still there. */
  async #takeBack(row: UpgradeRow, { host, from, step }: UpgradeHostRow): Promise<void> {
    const { store } = this.#options;
    if (from === null) return;
    try {
      if (!(step === "returning" && this.running(host) === from)) {
        const heard = await this.#tell(row, host, from, "returning");
        if (!(await this.#watch(host, from, heard))) return;
      } else {
        const { startedAt, before } = this.#rowOf(row.id, host) ?? { startedAt: null, before: null };
        const heard = told(Date.parse(startedAt ?? row.startedAt), null, before ?? []);
        if (!(await this.#watch(host, from, heard))) return;
      }
      this.#step(row, host, "returned", "taken back, for another host did not come up with it");
      store.decide("server", { type: "host.pushed", host, release: from, run: row.run });
      this.#note(row, host, "agent.went-back", `agent again ${from}`);
    } catch (error) {
      if (this.#isStopped()) return;
      this.#failed(row, host, error);
    }
  }

  #failed(row: UpgradeRow, host: string, error: unknown): void {
    const { message } = errorData(error);
    if (!(error instanceof StackctlError))
      this.#options.log({ host, err: error }, "upgrade failed unexpectedly");
    this.#step(row, host, "failed", message.slice(0, 2000));
    this.#note(row, host, "upgrade.failed", message);
  }

  /** Sends what the host lacks of a release, in pieces; goes on where it was cut off. */
  async #send(host: string, runtime: Runtime): Promise<void> {
    const manifest = manifestOf(runtime);
    let tries = 0;
    let stuck = 0;
    let last = "";
    for (;;) {
      try {
        this.#say(host, "comparing files");
        let { missing } = await this.#release(host, { kind: "release-offer", manifest });
        for (let next = missing[0]; next !== undefined; next = missing[0]) {
          if (this.#isStopped()) return;
          const { name, offset } = next;
          const file = runtime.files.find((each) => each.name === name);
          stuck = last === `${name} ${String(offset)}` ? stuck + 1 : 0;
          last = `${name} ${String(offset)}`;
          if (file === undefined || offset >= file.archiveBytes || stuck > sendTries)
            throw new StackctlError("upgrade_failed", `${host} does not take ${name}`, { details: { host } });
          this.#say(host, `sending ${name} ${String(Math.round((100 * offset) / file.archiveBytes))} %`);
          const bytes = archivePiece(file, offset).toString("base64");
          const piece = { kind: "release-piece", release: runtime.release, name, offset, bytes } as const;
          ({ missing } = await this.#release(host, piece));
        }
        return;
      } catch (error) {
        const isCut = error instanceof StackctlError && error.code === "agent_unreachable";
        // Its next heartbeat tells that it is there again.
        if (isCut) this.#options.fleet.lost(host);
        if (!isCut || ++tries >= sendTries || !(await this.#isThere(host))) throw error;
      }
    }
  }

  /** Tells a host to run a release that is there, decided before it is said. */
  async #tell(row: UpgradeRow, host: string, release: string, step: "started" | "returning"): Promise<Heard> {
    const { store, fleet } = this.#options;
    const status = fleet.presence(host)?.status ?? null;
    const before: HeldBefore = (status?.documents ?? [])
      // An empty document goes away once its work is done.
      .filter(({ service }) => (store.document(host, service)?.body.resources.length ?? 0) > 0)
      .map(({ service, epoch, seq, digest }) => ({ service, epoch, seq, digest }));
    store.decide("server", { type: "upgrade.stepped", upgrade: row.id, host, step, why: null, before });
    this.#say(host, `starting ${release}`);
    try {
      await this.#release(host, { kind: "release-start", release });
    } catch (error) {
      // Its answer may be lost when it goes down for it; what becomes of it is seen.
      if (!(error instanceof StackctlError) || error.code !== "agent_unreachable") throw error;
    }
    return told(Date.now(), status?.startedAtMs ?? null, before);
  }

  /**
   * Watches a host that was told to run a release until it is confirmed.
   * @returns false when the server stops meanwhile
   * @throws StackctlError `upgrade_failed` saying what was seen
   */
  async #watch(host: string, release: string, first: Heard): Promise<boolean> {
    const { fleet } = this.#options;
    let heard = first;
    for (;;) {
      if (this.#isStopped()) return false;
      const status = fleet.presence(host)?.status ?? null;
      if (status !== null) heard = hear(heard, release, status, Date.now());
      const verdict = judge(heard, host, release, Date.now());
      if (verdict.is === "bad") throw new StackctlError("upgrade_failed", verdict.why, { details: { host } });
      if (verdict.is === "waiting") this.#say(host, verdict.text);
      else {
        this.#say(host, `confirming ${release}`);
        try {
          await this.#release(host, { kind: "release-confirm", release }, confirmMs);
          return true;
        } catch (error) {
          if (!(error instanceof StackctlError)) throw error;
          const unanswered = error.code === "agent_unreachable";
          // The first reason counts: later ones may come from a host that is just going back.
          heard = {
            ...heard,
            unconfirmed: heard.unconfirmed ?? (unanswered ? "did not answer" : `said: ${error.message}`),
          };
        }
      }
      await this.#hostNews(host, 1000);
    }
  }

  /** Asks about a release. @throws StackctlError what the agent says, or `agent_unreachable` */
  async #release(host: string, request: AgentRequest, timeoutMs = answerMs): Promise<ReleaseAnswer> {
    const answer = releaseAnswer.parse(await this.#options.questions.ask(host, request, timeoutMs));
    if (answer.problem === null) return answer;
    const { code, message } = answer.problem;
    throw new StackctlError(code, `${host}: ${message}`, { details: { host } });
  }

  /** True once the host is heard; it may have been cut off together with the server. */
  async #isThere(host: string): Promise<boolean> {
    const until = Date.now() + returnMs;
    while (this.#options.fleet.presence(host)?.state !== "ok") {
      if (Date.now() > until || this.#isStopped()) return false;
      this.#say(host, "waiting for its agent");
      await this.#hostNews(host, 500);
    }
    return true;
  }

  async #hostNews(host: string, waitMs: number): Promise<void> {
    await untilNews((heard) => this.#options.fleet.onNews(host, heard), waitMs);
  }

  /** Waits for the end of an upgrade and says meanwhile how far a host is in it. */
  async #follow(active: Active, host: string, say: (doing: string) => void): Promise<void> {
    const tell = (): void => {
      say(`upgrading the agent: ${this.#doing.get(host) ?? "others go first"}`);
    };
    this.#emitter.on("news", tell);
    tell();
    await active.done;
    this.#emitter.off("news", tell);
  }

  #rowOf(id: number, host: string): UpgradeHostRow | null {
    return this.#options.store.upgradeHosts(id).find((each) => each.host === host) ?? null;
  }

  #say(host: string, text: string): void {
    if (this.#doing.get(host) === text) return;
    this.#doing.set(host, text);
    this.#emitter.emit("news");
  }

  #step(row: UpgradeRow, host: string, step: UpgradeStep, why: string | null): void {
    this.#options.store.decide("server", { type: "upgrade.stepped", upgrade: row.id, host, step, why });
    this.#doing.delete(host);
    this.#emitter.emit("news");
  }

  #end(row: UpgradeRow, outcome: "changed" | "failed", why: string | null): void {
    const seconds = (Date.now() - Date.parse(row.startedAt)) / 1000;
    this.#options.store.decide("server", { type: "upgrade.ended", upgrade: row.id, outcome, why, seconds });
    this.#note(row, null, "upgrade.done", why ?? `agents run ${row.manifest.release}`);
  }

  #note(row: UpgradeRow, host: string | null, type: string, text: string): void {
    const at = new Date().toISOString();
    const run = row.run === 0 ? null : row.run;
    this.#options.store.addEvent({ at, host, service: null, resource: null, type, text, run });
  }
}

/** A host as an upgrade begins with it. */
interface NewRow {
  readonly host: string;
  readonly from: string | null;
  readonly step: UpgradeStep;
  readonly why: string | null;
}

/** True while there is something left to be done forward. */
function isOpen(step: UpgradeStep): boolean {
  return step === "waiting" || step === "started";
}

function stateOf(step: UpgradeStep, isDoing: boolean): UpgradeState {
  switch (step) {
    case "waiting":
      return isDoing ? "running" : "pending";
    case "started":
    case "returning":
      return "running";
    case "well":
      return "changed";
    case "returned":
      return "failed";
    case "unchanged":
    case "skipped":
    case "failed":
      return step;
  }
}

function unchangedView(
  release: string,
  rows: readonly NewRow[],
  running: (host: string) => string | null,
): UpgradeView {
  return {
    id: null,
    state: "done",
    release,
    outcome: "unchanged",
    why: null,
    seconds: 0,
    hosts: rows.map(({ host, from, step, why }) => ({
      host,
      canary: false,
      state: stateOf(step, false),
      text: why,
      from,
      running: running(host),
      seconds: null,
    })),
  };
}
