import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import {
  StackctlError,
  type AgentStatus,
  type BuiltImage,
  type Cause,
  type DocumentBody,
  type EventView,
  type GaleraFound,
  type Outcome,
  type ReleaseManifest,
  type ResourceOutcome,
  type Scope,
} from "@stackctl/protocol";
import type { Ring, RingName } from "../keys/rings.ts";
import {
  applyDecision,
  decisionTables,
  type Decision,
  type HeldBefore,
  type KeptResource,
  type UpgradeStep,
} from "./changes.ts";
import { keptEvents, projectionTables } from "./projection-tables.ts";

type Row = Record<string, SQLOutputValue>;

/** An enrolled host's agent. */
export interface AgentRow {
  readonly host: string;
  readonly incarnation: number;
  readonly nkey: string;
  readonly eventKey: string;
  readonly sealKey: string;
  readonly release: string;
  /** The boot id that the host had when it was enrolled. */
  readonly enrolledBootId: string;
  /** The run that last enrolled it, or started its agent. */
  readonly run: number;
}

export interface RunRow {
  readonly id: number;
  readonly scope: Scope;
  readonly hosts: readonly string[];
  readonly cloudText: string;
  readonly cause: Cause;
  readonly startedAt: string;
  readonly endedAt: string | null;
  readonly seconds: number | null;
}

export interface StepRow {
  readonly run: number;
  readonly host: string;
  readonly service: string;
  readonly outcome: Exclude<Outcome, "planned">;
  readonly why: string | null;
  readonly resources: readonly KeptResource[];
  readonly seconds: number;
  readonly at: string;
}

/** The document that the server last issued for a service of a host. */
export interface DocumentRow {
  readonly host: string;
  readonly service: string;
  readonly incarnation: number;
  readonly seq: number;
  readonly run: number;
  readonly body: DocumentBody;
}

/** The last result of a document that an agent reported. */
export interface AppliedRow {
  readonly host: string;
  readonly service: string;
  readonly incarnation: number;
  readonly seq: number;
  readonly digest: string;
  readonly outcome: Outcome;
  readonly seconds: number;
  readonly resources: readonly ResourceOutcome[];
}

/** An image that was built, or taken over, when it was recorded. */
export interface BuiltRow extends BuiltImage {
  readonly at: string;
  readonly name: string;
}

/** A permit from the wish for it to its return. */
export interface PermitRow {
  readonly wish: string;
  readonly cluster: string;
  readonly host: string;
  readonly service: string;
  readonly resource: string;
  readonly wantedAt: string;
  /** Null: not given yet. */
  readonly givenAt: string | null;
}

/** The removal of a host, which is a run. */
export interface RemovalRow {
  readonly run: number;
  readonly host: string;
  /** What stays on it because it is data; null: its agent has not said yet that it goes. */
  readonly kept: readonly string[] | null;
  /** Nothing is known of it any more. */
  readonly removed: boolean;
}

/** Something that is left alone; host or service null: any. */
export interface HoldRow {
  readonly host: string | null;
  readonly service: string | null;
  readonly until: string;
  readonly why: string;
  readonly by: string;
}

/** An upgrade of agents. */
export interface UpgradeRow {
  readonly id: number;
  readonly manifest: ReleaseManifest;
  /** The release built into the server, when another was given in its place. */
  readonly insteadOf: string | null;
  /** 0: a person asked. */
  readonly run: number;
  readonly startedAt: string;
  readonly endedAt: string | null;
  readonly outcome: "changed" | "failed" | null;
  readonly why: string | null;
  readonly seconds: number | null;
}

/** One host of an upgrade. */
export interface UpgradeHostRow {
  readonly host: string;
  readonly canary: boolean;
  readonly from: string | null;
  readonly step: UpgradeStep;
  readonly why: string | null;
  /** Null: it was not started. */
  readonly before: HeldBefore | null;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
}

/** When a host was last heard of and what it said. */
export interface SeenRow {
  readonly host: string;
  readonly at: string;
  readonly bootId: string;
  readonly status: AgentStatus;
}

export interface NewEvent {
  readonly at: string;
  readonly host: string | null;
  readonly service: string | null;
  readonly resource: string | null;
  readonly type: string;
  readonly text: string;
  readonly run: number | null;
}

/**
 * The server's memory: the log of decisions with the tables that follow from it, and projections of what agents
 * reported. One process at a time: it holds SQLite's exclusive lock, which a killed process loses by itself.
 */
export class Store {
  readonly #db: DatabaseSync;
  /** Documents by host as they are since the last decision; only decisions change them. */
  readonly #documents = new Map<string, readonly DocumentRow[]>();

  /** @throws StackctlError `store_locked` when another server has it open */
  constructor(file: string) {
    this.#db = new DatabaseSync(file);
    try {
      this.#db.exec(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
      );
      this.#db.exec(`BEGIN IMMEDIATE; ${decisionTables} ${projectionTables} COMMIT;`);
    } catch (error) {
      this.#db.close();
      if (error instanceof Error && error.message.includes("locked")) {
        throw new StackctlError("store_locked", `another server holds ${file}`, {
          details: { remedy: "stackctl server status" },
          cause: error,
        });
      }
      throw error;
    }
  }

  close(): void {
    this.#db.close();
  }

  /**
   * Records a decision: once this returns it is on disk and in the tables, and may be acted on.
   * @returns the new id for `run.started`, `removal.started` and `upgrade.started`, else null
   */
  decide(by: string, decision: Decision): number | null {
    this.#documents.clear();
    return this.#transaction(() => {
      const at = new Date().toISOString();
      this.#db
        .prepare("INSERT INTO log (at, by, type, body) VALUES (?, ?, ?, ?)")
        .run(at, by, decision.type, JSON.stringify(decision));
      return applyDecision(this.#db, at, decision);
    });
  }

  /** The whole log, oldest first: what was decided, when, and by whom. */
  log(): { readonly at: string; readonly by: string; readonly decision: Decision }[] {
    return this.#all("SELECT at, by, body FROM log ORDER BY n").map((row) => ({
      at: text(row, "at"),
      by: text(row, "by"),
      decision: json(row, "body"),
    }));
  }

  /** All rows of a table, for comparing stores. */
  dump(table: string): Row[] {
    return this.#all(`SELECT * FROM "${table}" ORDER BY 1, 2`);
  }

  cloud(): { readonly cluster: string; readonly leader: string; readonly epoch: number } | null {
    const row = this.#one("SELECT * FROM cloud");
    return row === null
      ? null
      : { cluster: text(row, "cluster"), leader: text(row, "leader"), epoch: integer(row, "epoch") };
  }

  /** Ciphertext of the newest version of a secret, or of one version. */
  secret(name: string, version?: number): { readonly version: number; readonly box: string } | null {
    const row =
      version === undefined
        ? this.#one("SELECT * FROM secret WHERE name = ? ORDER BY version DESC LIMIT 1", name)
        : this.#one("SELECT * FROM secret WHERE name = ? AND version = ?", name, version);
    return row === null ? null : { version: integer(row, "version"), box: text(row, "box") };
  }

  pin(host: string): string | null {
    const row = this.#one("SELECT fingerprint FROM pin WHERE host = ?", host);
    return row === null ? null : text(row, "fingerprint");
  }

  agent(host: string): AgentRow | null {
    const row = this.#one("SELECT * FROM agent WHERE host = ?", host);
    return row === null ? null : agentRow(row);
  }

  agents(): AgentRow[] {
    return this.#all("SELECT * FROM agent ORDER BY host").map(agentRow);
  }

  /** The boot id that must be gone, by host. */
  rebootOrders(): Map<string, string> {
    return new Map(
      this.#all("SELECT * FROM reboot").map((row) => [text(row, "host"), text(row, "notBootId")]),
    );
  }

  /** The controller that things are made on first; null: none was recorded yet. */
  primary(): string | null {
    const row = this.#one('SELECT host FROM "primary"');
    return row === null ? null : text(row, "host");
  }

  /** The controller that the registry was moved to; null: it never was. */
  registryPrimary(): string | null {
    const row = this.#one("SELECT host FROM registry");
    return row === null ? null : text(row, "host");
  }

  /** Every image that was ever recorded, oldest first. */
  imageHistory(): BuiltRow[] {
    return this.#all("SELECT at, body FROM log WHERE type = 'image.built' ORDER BY n").map((row) => ({
      ...json<Omit<BuiltRow, "at">>(row, "body"),
      at: text(row, "at"),
    }));
  }

  /** The last image that was built, by name. */
  images(): Map<string, BuiltImage> {
    return new Map(
      this.#all("SELECT * FROM image").map((row) => [
        text(row, "name"),
        { recipe: text(row, "recipe"), id: text(row, "id"), digest: optionalText(row, "digest") },
      ]),
    );
  }

  /** The id of the databases' cluster; null: it was never founded. */
  galera(): string | null {
    const row = this.#one("SELECT uuid FROM galera");
    return row === null ? null : text(row, "uuid");
  }

  /** What data directories held when they were looked at before the founding, by host. */
  galeraLooks(): Map<string, GaleraFound> {
    return new Map(
      this.#all("SELECT * FROM galeraLook").map((row) => [
        text(row, "host"),
        JSON.parse(text(row, "found")) as GaleraFound,
      ]),
    );
  }

  /** The rings of keys, by name. */
  rings(): Map<RingName, Ring> {
    return new Map(
      this.#all("SELECT * FROM ring").map((row) => [
        text(row, "name") as RingName,
        {
          generation: integer(row, "generation"),
          keys: JSON.parse(text(row, "keys")) as Ring["keys"],
        },
      ]),
    );
  }

  /** How often images were asked to be built anew, by name. */
  imageBuilds(): Map<string, number> {
    return new Map(
      this.#all("SELECT * FROM imageBuild").map((row) => [text(row, "name"), integer(row, "count")]),
    );
  }

  run(id: number): RunRow | null {
    const row = this.#one("SELECT * FROM run WHERE id = ?", id);
    return row === null ? null : runRow(row);
  }

  lastRun(): RunRow | null {
    const row = this.#one("SELECT * FROM run ORDER BY id DESC LIMIT 1");
    return row === null ? null : runRow(row);
  }

  /** The last runs, newest first. */
  lastRuns(limit: number): RunRow[] {
    return this.#all("SELECT * FROM run ORDER BY id DESC LIMIT ?", limit).map(runRow);
  }

  openRuns(): RunRow[] {
    return this.#all("SELECT * FROM run WHERE endedAt IS NULL ORDER BY id").map(runRow);
  }

  steps(run: number): StepRow[] {
    return this.#all("SELECT * FROM step WHERE run = ? ORDER BY rowid", run).map(stepRow);
  }

  /** The newest step of each service of a host, over all runs since it was removed, if it ever was. */
  lastSteps(host: string): StepRow[] {
    return this.#all(
      `SELECT s.* FROM step s WHERE host = ? AND run = (SELECT max(run) FROM step WHERE host = s.host AND service = s.service)
         AND run > coalesce((SELECT run FROM former WHERE host = s.host), 0)`,
      host,
    ).map(stepRow);
  }

  /** The removal that a run is; null: it is none. */
  removal(run: number): RemovalRow | null {
    const row = this.#one("SELECT * FROM removal WHERE run = ?", run);
    return row === null ? null : removalRow(row);
  }

  /** The newest try to remove a host that is known still; null: nobody wants it gone. */
  removalOf(host: string): RemovalRow | null {
    const row = this.#one(
      "SELECT * FROM removal WHERE host = ? AND removed = 0 ORDER BY run DESC LIMIT 1",
      host,
    );
    return row === null || this.agent(host) === null ? null : removalRow(row);
  }

  /** Hosts that were removed and are not enrolled anew, each with the run that removed it. */
  formerHosts(): { readonly host: string; readonly run: number }[] {
    return this.#all(
      "SELECT host, run FROM former WHERE host NOT IN (SELECT host FROM agent) ORDER BY host",
    ).map((row) => ({ host: text(row, "host"), run: integer(row, "run") }));
  }

  /** The highest incarnation that was ever given to a host; 0: it was never enrolled. */
  lastIncarnation(host: string): number {
    const row = this.#one("SELECT incarnation FROM former WHERE host = ?", host);
    return Math.max(this.agent(host)?.incarnation ?? 0, row === null ? 0 : integer(row, "incarnation"));
  }

  /** Drops what was only ever seen of a host that is not known any more; its history stays. */
  forget(host: string): void {
    for (const table of ["applied", "seen", "floor"])
      this.#db.prepare(`DELETE FROM ${table} WHERE host = ?`).run(host);
  }

  document(host: string, service: string): DocumentRow | null {
    const row = this.#one("SELECT * FROM document WHERE host = ? AND service = ?", host, service);
    return row === null ? null : documentRow(row);
  }

  /** Read once between two decisions: status, permits and clusters ask for them again and again. */
  documents(host: string): readonly DocumentRow[] {
    const known = this.#documents.get(host);
    if (known !== undefined) return known;
    const rows = this.#all("SELECT * FROM document WHERE host = ? ORDER BY service", host).map(documentRow);
    this.#documents.set(host, rows);
    return rows;
  }

  /** The highest sequence number ever issued, over all hosts and services: the next one is one more. */
  lastSeq(): number {
    const row = this.#one(
      "SELECT max(json_extract(body, '$.seq')) AS seq FROM log WHERE type = 'document.issued'",
    );
    return row === null || row["seq"] === null ? 0 : integer(row, "seq");
  }

  applied(host: string, service: string): AppliedRow | null {
    const row = this.#one("SELECT * FROM applied WHERE host = ? AND service = ?", host, service);
    return row === null
      ? null
      : {
          host,
          service,
          incarnation: integer(row, "incarnation"),
          seq: integer(row, "seq"),
          digest: text(row, "digest"),
          outcome: text(row, "outcome") as Outcome,
          seconds: Number(row["seconds"]),
          resources: json(row, "resources"),
        };
  }

  /** Every permit that is wanted or given, in the order of asking. */
  permits(): PermitRow[] {
    return this.#all("SELECT * FROM permit ORDER BY n").map((row) => ({
      wish: text(row, "wish"),
      cluster: text(row, "cluster"),
      host: text(row, "host"),
      service: text(row, "service"),
      resource: text(row, "resource"),
      wantedAt: text(row, "wantedAt"),
      givenAt: optionalText(row, "givenAt"),
    }));
  }

  upgrade(id: number): UpgradeRow | null {
    const row = this.#one("SELECT * FROM upgrade WHERE id = ?", id);
    return row === null ? null : upgradeRow(row);
  }

  /** Upgrades that were decided and have not ended; at most one. */
  openUpgrades(): UpgradeRow[] {
    return this.#all("SELECT * FROM upgrade WHERE endedAt IS NULL ORDER BY id").map(upgradeRow);
  }

  /** The hosts of an upgrade, in the order of its decision. */
  upgradeHosts(upgrade: number): UpgradeHostRow[] {
    return this.#all("SELECT * FROM upgradeHost WHERE upgrade = ? ORDER BY rowid", upgrade).map((row) => ({
      host: text(row, "host"),
      canary: integer(row, "canary") === 1,
      from: optionalText(row, "from"),
      step: text(row, "step") as UpgradeStep,
      why: optionalText(row, "why"),
      before: row["before"] === null ? null : json(row, "before"),
      startedAt: optionalText(row, "startedAt"),
      endedAt: optionalText(row, "endedAt"),
    }));
  }

  /** The release that a person chose in place of the one built into the server; null: none. */
  chosenRelease(): { readonly manifest: ReleaseManifest; readonly insteadOf: string } | null {
    const row = this.#one("SELECT * FROM chosenRelease");
    return row === null ? null : { manifest: json(row, "manifest"), insteadOf: text(row, "insteadOf") };
  }

  /** Every hold that was not released, those too whose time is over. */
  holds(): HoldRow[] {
    return this.#all("SELECT * FROM hold ORDER BY until").map((row) => ({
      host: text(row, "host") === "" ? null : text(row, "host"),
      service: text(row, "service") === "" ? null : text(row, "service"),
      until: text(row, "until"),
      why: text(row, "why"),
      by: text(row, "by"),
    }));
  }

  /** Number of the last decision about a hold; 0: there was none. */
  holdRevision(): number {
    const row = this.#one(
      "SELECT coalesce(max(n), 0) AS n FROM log WHERE type IN ('hold.set', 'hold.released')",
    );
    return row === null ? 0 : integer(row, "n");
  }

  seen(): SeenRow[] {
    return this.#all("SELECT * FROM seen").map((row) => ({
      host: text(row, "host"),
      at: text(row, "at"),
      bootId: text(row, "bootId"),
      status: json(row, "status"),
    }));
  }

  noteSeen(row: SeenRow): void {
    this.#db
      .prepare("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)")
      .run(row.host, row.at, row.bootId, JSON.stringify(row.status));
  }

  /** How far this incarnation's events were taken in; 0: none. */
  floor(host: string, incarnation: number): number {
    const row = this.#one("SELECT n FROM floor WHERE host = ? AND incarnation = ?", host, incarnation);
    return row === null ? 0 : integer(row, "n");
  }

  /** Takes in one agent's event: its rows, its result and the floor together, or nothing of it. */
  takeIn(
    floor: { host: string; incarnation: number; n: number },
    events: readonly NewEvent[],
    applied: AppliedRow | null,
  ): number[] {
    return this.#transaction(() => {
      this.#db
        .prepare("INSERT OR REPLACE INTO floor VALUES (?, ?, ?)")
        .run(floor.host, floor.incarnation, floor.n);
      if (applied !== null) {
        this.#db
          .prepare("INSERT OR REPLACE INTO applied VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
          .run(
            applied.host,
            applied.service,
            applied.incarnation,
            applied.seq,
            applied.digest,
            applied.outcome,
            applied.seconds,
            JSON.stringify(applied.resources),
          );
      }
      return events.map((event) => this.#insertEvent(event));
    });
  }

  /** Records an event of the server itself. */
  addEvent(event: NewEvent): number {
    return this.#insertEvent(event);
  }

  /** Events after `after`, oldest first; null: the last `limit`. */
  events(after: number | null, limit: number): EventView[] {
    const rows =
      after === null
        ? this.#all("SELECT * FROM event ORDER BY n DESC LIMIT ?", limit).reverse()
        : this.#all("SELECT * FROM event WHERE n > ? ORDER BY n LIMIT ?", after, limit);
    return rows.map(eventView);
  }

  /** What happened to one resource of a host, newest first. */
  history(host: string, resource: string, limit: number): EventView[] {
    return this.#all(
      "SELECT * FROM event WHERE host = ? AND resource = ? ORDER BY n DESC LIMIT ?",
      host,
      resource,
      limit,
    ).map(eventView);
  }

  /** Lines of a run's log after event `after`. */
  runEvents(run: number, after: number, limit: number): EventView[] {
    return this.#all("SELECT * FROM event WHERE run = ? AND n > ? ORDER BY n LIMIT ?", run, after, limit).map(
      eventView,
    );
  }

  /** How often anything was changed on a host, by us or by hand: a plan is stale when it moved. */
  changeCount(host: string): number {
    const row = this.#one(
      "SELECT count(*) AS n FROM event WHERE host = ? AND type IN ('resource.drifted', 'resource.changed', 'resource.repaired')",
      host,
    );
    return row === null ? 0 : integer(row, "n");
  }

  /** When a resource that differs now began to differ. */
  driftedSince(host: string, resource: string): { readonly at: string; readonly text: string } | null {
    const row = this.#one(
      "SELECT at, text FROM event WHERE host = ? AND resource = ? AND type = 'resource.drifted' ORDER BY n DESC LIMIT 1",
      host,
      resource,
    );
    return row === null ? null : { at: text(row, "at"), text: text(row, "text") };
  }

  #insertEvent(event: NewEvent): number {
    const { lastInsertRowid } = this.#db
      .prepare(
        "INSERT INTO event (at, host, service, resource, type, text, run) VALUES (?, ?, ?, ?, ?, ?, ?)",
      )
      .run(event.at, event.host, event.service, event.resource, event.type, event.text, event.run);
    const n = Number(lastInsertRowid);
    if (n % 1000 === 0) this.#db.prepare("DELETE FROM event WHERE n <= ?").run(n - keptEvents);
    return n;
  }

  #transaction<T>(work: () => T): T {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.#db.exec("COMMIT");
      return result;
    } catch (error) {
      this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  #one(sql: string, ...values: (string | number)[]): Row | null {
    return this.#db.prepare(sql).get(...values) ?? null;
  }

  #all(sql: string, ...values: (string | number)[]): Row[] {
    return this.#db.prepare(sql).all(...values);
  }
}

function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw new TypeError(`column ${column} holds no text`);
  return value;
}

function integer(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== "number") throw new TypeError(`column ${column} holds no number`);
  return value;
}

// Only what this class itself wrote as JSON is read back, so its form is known.
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
function json<T>(row: Row, column: string): T {
  return JSON.parse(text(row, column)) as T;
}

function optionalText(row: Row, column: string): string | null {
  return row[column] === null ? null : text(row, column);
}

function agentRow(row: Row): AgentRow {
  return {
    host: text(row, "host"),
    incarnation: integer(row, "incarnation"),
    nkey: text(row, "nkey"),
    eventKey: text(row, "eventKey"),
    sealKey: text(row, "sealKey"),
    release: text(row, "release"),
    enrolledBootId: text(row, "enrolledBootId"),
    run: integer(row, "run"),
  };
}

function runRow(row: Row): RunRow {
  return {
    id: integer(row, "id"),
    scope: json(row, "scope"),
    hosts: json(row, "hosts"),
    cloudText: text(row, "cloudText"),
    cause: json(row, "cause"),
    startedAt: text(row, "startedAt"),
    endedAt: optionalText(row, "endedAt"),
    seconds: row["seconds"] === null ? null : Number(row["seconds"]),
  };
}

function upgradeRow(row: Row): UpgradeRow {
  return {
    id: integer(row, "id"),
    manifest: json(row, "manifest"),
    insteadOf: optionalText(row, "insteadOf"),
    run: integer(row, "run"),
    startedAt: text(row, "startedAt"),
    endedAt: optionalText(row, "endedAt"),
    outcome: optionalText(row, "outcome") as UpgradeRow["outcome"],
    why: optionalText(row, "why"),
    seconds: row["seconds"] === null ? null : Number(row["seconds"]),
  };
}

function stepRow(row: Row): StepRow {
  return {
    run: integer(row, "run"),
    host: text(row, "host"),
    service: text(row, "service"),
    outcome: text(row, "outcome") as StepRow["outcome"],
    why: optionalText(row, "why"),
    resources: json(row, "resources"),
    seconds: Number(row["seconds"]),
    at: text(row, "at"),
  };
}

function removalRow(row: Row): RemovalRow {
  return {
    run: integer(row, "run"),
    host: text(row, "host"),
    kept: row["kept"] === null ? null : json(row, "kept"),
    removed: integer(row, "removed") === 1,
  };
}

function documentRow(row: Row): DocumentRow {
  return {
    host: text(row, "host"),
    service: text(row, "service"),
    incarnation: integer(row, "incarnation"),
    seq: integer(row, "seq"),
    run: integer(row, "run"),
    body: json(row, "body"),
  };
}

function eventView(row: Row): EventView {
  return {
    n: integer(row, "n"),
    at: text(row, "at"),
    host: optionalText(row, "host"),
    service: optionalText(row, "service"),
    resource: optionalText(row, "resource"),
    type: text(row, "type"),
    text: text(row, "text"),
  };
}
