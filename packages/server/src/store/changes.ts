import type { DatabaseSync } from "node:sqlite";
import type {
  Cause,
  DocumentBody,
  Outcome,
  ReleaseManifest,
  ResourceResult,
  Scope,
} from "@stackctl/protocol";

/** What became of one resource in a run, as it is kept. */
export interface KeptResource {
  readonly id: string;
  readonly outcome: ResourceResult;
  readonly why?: string;
}

/** How far the agent of one host is in an upgrade. */
export type UpgradeStep =
  /** Its turn has not come. */
  | "waiting"
  /** It was told to run the release; `before` is kept with this. */
  | "started"
  /** It runs the release, well, and was confirmed. */
  | "well"
  | "unchanged"
  | "skipped"
  | "failed"
  /** It ran well, and is taken back because another host did not. */
  | "returning"
  | "returned";

/** What an agent held before it was told to run another release. */
export type HeldBefore = readonly {
  readonly service: string;
  readonly epoch: number;
  readonly seq: number;
  readonly digest: string;
}[];

/**
 * Every decision that the server takes. A decision is appended to the log and applied to the tables in one
 * transaction, before anything is done about it; nothing else ever writes these tables.
 */
export type Decision =
  | {
      readonly type: "cloud.created";
      readonly cluster: string;
      readonly leader: string;
      readonly epoch: number;
    }
  | { readonly type: "secret.written"; readonly name: string; readonly version: number; readonly box: string }
  /** The key of a host, or of a jump host such as `bastion:22`, is from now on the one that it must have. */
  | { readonly type: "host.pinned"; readonly host: string; readonly fingerprint: string }
  | { readonly type: "host.key-forgotten"; readonly host: string }
  | {
      readonly type: "host.enrolled";
      readonly host: string;
      readonly incarnation: number;
      readonly nkey: string;
      readonly eventKey: string;
      readonly sealKey: string;
      readonly release: string;
      readonly bootId: string;
      /** In which run. */
      readonly run: number;
    }
  /** Its agent was started by us, perhaps with a newer release. */
  | { readonly type: "host.pushed"; readonly host: string; readonly release: string; readonly run: number }
  /** A person wants this host gone; the run that this starts takes away what is on it, then lets it go. */
  | {
      readonly type: "removal.started";
      readonly host: string;
      readonly cloudText: string;
      readonly cause: Cause;
    }
  /** The agent has said that it takes itself away; what stays on the host because it is data. */
  | { readonly type: "host.left"; readonly run: number; readonly kept: readonly string[] }
  /** Nothing is known of the host from now on, and its agent is let in no more. */
  | { readonly type: "host.removed"; readonly host: string; readonly run: number }
  | { readonly type: "reboot.ordered"; readonly host: string; readonly notBootId: string }
  | {
      readonly type: "run.started";
      readonly scope: Scope;
      readonly hosts: readonly string[];
      readonly cloudText: string;
      readonly cause: Cause;
    }
  | {
      readonly type: "document.issued";
      readonly host: string;
      readonly service: string;
      readonly incarnation: number;
      readonly seq: number;
      readonly run: number;
      /** Without sealed secrets: they are sealed anew at each publication. */
      readonly body: DocumentBody;
    }
  | {
      readonly type: "step.ended";
      readonly run: number;
      readonly host: string;
      readonly service: string;
      readonly outcome: Exclude<Outcome, "planned">;
      readonly why: string | null;
      readonly resources: readonly KeptResource[];
      readonly seconds: number;
    }
  /** The controller that things are made on first, from now on. */
  | { readonly type: "primary.chosen"; readonly host: string }
  /** The controller whose registry is pushed to, and on which images are built, from now on. */
  | { readonly type: "registry.moved"; readonly host: string }
  /** An image is there: built of a recipe, and pushed unless its digest is null. */
  | {
      readonly type: "image.built";
      readonly name: string;
      readonly recipe: string;
      readonly id: string;
      readonly digest: string | null;
      /** Of its parts in the registry, as far as that was said. */
      readonly sizeBytes?: number;
    }
  /** A person wants these images built anew, with the packages of the day. */
  | { readonly type: "image.build-asked"; readonly names: readonly string[] }
  /** What a controller's data directory held before there was a cluster, as JSON. */
  | { readonly type: "galera.looked"; readonly host: string; readonly found: string }
  /** The cluster of the databases exists, for good: nothing is ever founded again. */
  | { readonly type: "galera.born"; readonly uuid: string }
  /** A ring of keys is this from now on; the keys themselves are versions of a secret in the vault. */
  | {
      readonly type: "ring.set";
      readonly ring: string;
      readonly generation: number;
      /** By index, the version of the ring's secret. */
      readonly keys: Readonly<Record<string, number>>;
    }
  | { readonly type: "run.ended"; readonly run: number; readonly seconds: number }
  /** A member asks for the leave to go down; it queues behind those that asked before. */
  | {
      readonly type: "permit.wanted";
      readonly wish: string;
      readonly cluster: string;
      readonly host: string;
      readonly service: string;
      readonly resource: string;
    }
  /** Something is left alone until then; host or service null: any. The same again replaces it. */
  | {
      readonly type: "hold.set";
      readonly host: string | null;
      readonly service: string | null;
      /** ISO 8601. */
      readonly until: string;
      readonly why: string;
      readonly by: string;
    }
  /** Agents are brought to this release, the canary first. */
  | {
      readonly type: "upgrade.started";
      readonly manifest: ReleaseManifest;
      /** The release built into the server, when this one was given in its place; else null. */
      readonly insteadOf: string | null;
      /** The run that needs it; 0: a person asked. */
      readonly run: number;
      readonly hosts: readonly {
        readonly host: string;
        readonly canary: boolean;
        /** The release that it ran. */
        readonly from: string | null;
        readonly step: UpgradeStep;
        readonly why: string | null;
      }[];
    }
  | {
      readonly type: "upgrade.stepped";
      readonly upgrade: number;
      readonly host: string;
      readonly step: UpgradeStep;
      readonly why: string | null;
      /** With `started` only. */
      readonly before?: HeldBefore;
    }
  | {
      readonly type: "upgrade.ended";
      readonly upgrade: number;
      readonly outcome: "changed" | "failed";
      readonly why: string | null;
      readonly seconds: number;
    }
  | { readonly type: "hold.released"; readonly host: string | null; readonly service: string | null }
  | { readonly type: "permit.given"; readonly wish: string }
  | { readonly type: "permit.returned"; readonly wish: string };

/** The tables that hold decisions. Times are ISO 8601 in UTC. */
export const decisionTables = `
  CREATE TABLE IF NOT EXISTS log (n INTEGER PRIMARY KEY, at TEXT NOT NULL, by TEXT NOT NULL, type TEXT NOT NULL, body TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS cloud (cluster TEXT NOT NULL, leader TEXT NOT NULL, epoch INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS secret (name TEXT NOT NULL, version INTEGER NOT NULL, box TEXT NOT NULL, PRIMARY KEY (name, version)) STRICT;
  CREATE TABLE IF NOT EXISTS pin (host TEXT PRIMARY KEY, fingerprint TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS agent (host TEXT PRIMARY KEY, incarnation INTEGER NOT NULL, nkey TEXT NOT NULL, eventKey TEXT NOT NULL,
    sealKey TEXT NOT NULL, release TEXT NOT NULL, enrolledBootId TEXT NOT NULL, run INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS removal (run INTEGER PRIMARY KEY, host TEXT NOT NULL, kept TEXT, removed INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS former (host TEXT PRIMARY KEY, incarnation INTEGER NOT NULL, run INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS reboot (host TEXT PRIMARY KEY, notBootId TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS run (id INTEGER PRIMARY KEY, scope TEXT NOT NULL, hosts TEXT NOT NULL, cloudText TEXT NOT NULL,
    cause TEXT NOT NULL, startedAt TEXT NOT NULL, endedAt TEXT, seconds REAL) STRICT;
  CREATE TABLE IF NOT EXISTS document (host TEXT NOT NULL, service TEXT NOT NULL, incarnation INTEGER NOT NULL, seq INTEGER NOT NULL,
    run INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (host, service)) STRICT;
  CREATE TABLE IF NOT EXISTS step (run INTEGER NOT NULL, host TEXT NOT NULL, service TEXT NOT NULL, outcome TEXT NOT NULL, why TEXT,
    resources TEXT NOT NULL, seconds REAL NOT NULL, at TEXT NOT NULL, PRIMARY KEY (run, host, service)) STRICT;
  CREATE TABLE IF NOT EXISTS "primary" (one INTEGER PRIMARY KEY CHECK (one = 1), host TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS registry (one INTEGER PRIMARY KEY CHECK (one = 1), host TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS image (name TEXT PRIMARY KEY, recipe TEXT NOT NULL, id TEXT NOT NULL, digest TEXT) STRICT;
  CREATE TABLE IF NOT EXISTS imageBuild (name TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS galera (one INTEGER PRIMARY KEY CHECK (one = 1), uuid TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS ring (name TEXT PRIMARY KEY, generation INTEGER NOT NULL, keys TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS galeraLook (host TEXT PRIMARY KEY, found TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS permit (n INTEGER PRIMARY KEY, wish TEXT NOT NULL UNIQUE, cluster TEXT NOT NULL, host TEXT NOT NULL,
    service TEXT NOT NULL, resource TEXT NOT NULL, wantedAt TEXT NOT NULL, givenAt TEXT) STRICT;
  CREATE TABLE IF NOT EXISTS hold (host TEXT NOT NULL, service TEXT NOT NULL, until TEXT NOT NULL, why TEXT NOT NULL, by TEXT NOT NULL,
    PRIMARY KEY (host, service)) STRICT;
  CREATE TABLE IF NOT EXISTS upgrade (id INTEGER PRIMARY KEY, manifest TEXT NOT NULL, insteadOf TEXT, run INTEGER NOT NULL,
    startedAt TEXT NOT NULL, endedAt TEXT, outcome TEXT, why TEXT, seconds REAL) STRICT;
  CREATE TABLE IF NOT EXISTS upgradeHost (upgrade INTEGER NOT NULL, host TEXT NOT NULL, canary INTEGER NOT NULL, "from" TEXT,
    step TEXT NOT NULL, why TEXT, before TEXT, startedAt TEXT, endedAt TEXT, PRIMARY KEY (upgrade, host)) STRICT;
  CREATE TABLE IF NOT EXISTS chosenRelease (one INTEGER PRIMARY KEY CHECK (one = 1), manifest TEXT NOT NULL, insteadOf TEXT NOT NULL) STRICT;
  CREATE UNIQUE INDEX IF NOT EXISTS permit_holder ON permit (cluster) WHERE givenAt IS NOT NULL;
`;

/** The names of the tables above that decisions fill, for comparing a replayed log with what is kept. */
export const decisionTableNames = [
  "cloud",
  "secret",
  "pin",
  "agent",
  "removal",
  "former",
  "reboot",
  "run",
  "document",
  "step",
  "primary",
  "registry",
  "image",
  "imageBuild",
  "galera",
  "galeraLook",
  "ring",
  "permit",
  "hold",
  "upgrade",
  "upgradeHost",
  "chosenRelease",
] as const;

/**
 * Applies one decision to the tables. The same log gives the same tables: it reads nothing but the decision,
 * the time it was logged at and the tables themselves.
 * @returns the new id for `run.started`, `removal.started` and `upgrade.started`, else null
 */
export function applyDecision(db: DatabaseSync, at: string, decision: Decision): number | null {
  const run = (sql: string, ...values: (string | number | null)[]): void => {
    db.prepare(sql).run(...values);
  };
  switch (decision.type) {
    case "cloud.created":
      run("INSERT INTO cloud VALUES (?, ?, ?)", decision.cluster, decision.leader, decision.epoch);
      return null;
    case "secret.written":
      run("INSERT INTO secret VALUES (?, ?, ?)", decision.name, decision.version, decision.box);
      return null;
    case "host.pinned":
      run("INSERT OR REPLACE INTO pin VALUES (?, ?)", decision.host, decision.fingerprint);
      return null;
    case "host.key-forgotten":
      run("DELETE FROM pin WHERE host = ?", decision.host);
      return null;
    case "host.enrolled":
      run(
        "INSERT OR REPLACE INTO agent VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        decision.host,
        decision.incarnation,
        decision.nkey,
        decision.eventKey,
        decision.sealKey,
        decision.release,
        decision.bootId,
        decision.run,
      );
      // A new incarnation has lost what the former one held.
      run("DELETE FROM document WHERE host = ?", decision.host);
      run("DELETE FROM permit WHERE host = ?", decision.host);
      return null;
    case "host.pushed":
      run(
        "UPDATE agent SET release = ?, run = ? WHERE host = ?",
        decision.release,
        decision.run,
        decision.host,
      );
      return null;
    case "removal.started": {
      const { host, cloudText, cause } = decision;
      const id = startRun(db, at, { scope: [host], hosts: [host], cloudText, cause });
      run("INSERT INTO removal VALUES (?, ?, NULL, 0)", id, host);
      return id;
    }
    case "host.left":
      run("UPDATE removal SET kept = ? WHERE run = ?", JSON.stringify(decision.kept), decision.run);
      return null;
    case "host.removed":
      // Enrolled anew it is another incarnation: what its former self knew and owed does not count for it.
      run(
        "INSERT OR REPLACE INTO former SELECT host, incarnation, ? FROM agent WHERE host = ?",
        decision.run,
        decision.host,
      );
      for (const table of ["agent", "pin", "reboot", "document", "permit", "hold"])
        run(`DELETE FROM ${table} WHERE host = ?`, decision.host);
      run("UPDATE removal SET removed = 1 WHERE run = ?", decision.run);
      return null;
    case "reboot.ordered":
      run("INSERT OR REPLACE INTO reboot VALUES (?, ?)", decision.host, decision.notBootId);
      return null;
    case "run.started":
      return startRun(db, at, decision);
    case "document.issued":
      run(
        "INSERT OR REPLACE INTO document VALUES (?, ?, ?, ?, ?, ?)",
        decision.host,
        decision.service,
        decision.incarnation,
        decision.seq,
        decision.run,
        JSON.stringify(decision.body),
      );
      return null;
    case "step.ended":
      run(
        "INSERT OR REPLACE INTO step VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        decision.run,
        decision.host,
        decision.service,
        decision.outcome,
        decision.why,
        JSON.stringify(decision.resources),
        decision.seconds,
        at,
      );
      return null;
    case "primary.chosen":
      run('INSERT OR REPLACE INTO "primary" VALUES (1, ?)', decision.host);
      return null;
    case "registry.moved":
      run("INSERT OR REPLACE INTO registry VALUES (1, ?)", decision.host);
      return null;
    case "image.built":
      run(
        "INSERT OR REPLACE INTO image VALUES (?, ?, ?, ?)",
        decision.name,
        decision.recipe,
        decision.id,
        decision.digest,
      );
      return null;
    case "image.build-asked":
      for (const name of decision.names)
        run("INSERT INTO imageBuild VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET count = count + 1", name);
      return null;
    case "galera.looked":
      run("INSERT OR REPLACE INTO galeraLook VALUES (?, ?)", decision.host, decision.found);
      return null;
    case "galera.born":
      run("INSERT INTO galera VALUES (1, ?)", decision.uuid);
      return null;
    case "ring.set":
      run(
        "INSERT OR REPLACE INTO ring VALUES (?, ?, ?)",
        decision.ring,
        decision.generation,
        JSON.stringify(decision.keys),
      );
      return null;
    case "run.ended":
      run("UPDATE run SET endedAt = ?, seconds = ? WHERE id = ?", at, decision.seconds, decision.run);
      return null;
    case "permit.wanted":
      // A resource has one wish: an earlier one was given up, or its agent would not ask anew.
      run(
        "DELETE FROM permit WHERE host = ? AND service = ? AND resource = ?",
        decision.host,
        decision.service,
        decision.resource,
      );
      run(
        "INSERT INTO permit (wish, cluster, host, service, resource, wantedAt) VALUES (?, ?, ?, ?, ?, ?)",
        decision.wish,
        decision.cluster,
        decision.host,
        decision.service,
        decision.resource,
        at,
      );
      return null;
    case "hold.set":
      run(
        "INSERT OR REPLACE INTO hold VALUES (?, ?, ?, ?, ?)",
        decision.host ?? "",
        decision.service ?? "",
        decision.until,
        decision.why,
        decision.by,
      );
      return null;
    case "upgrade.started": {
      const { lastInsertRowid } = db
        .prepare("INSERT INTO upgrade (manifest, insteadOf, run, startedAt) VALUES (?, ?, ?, ?)")
        .run(JSON.stringify(decision.manifest), decision.insteadOf, decision.run, at);
      const id = Number(lastInsertRowid);
      for (const { host, canary, from, step, why } of decision.hosts)
        run(
          'INSERT INTO upgradeHost (upgrade, host, canary, "from", step, why) VALUES (?, ?, ?, ?, ?, ?)',
          id,
          host,
          canary ? 1 : 0,
          from,
          step,
          why,
        );
      return id;
    }
    case "upgrade.stepped": {
      const { upgrade, host, step, why, before } = decision;
      run(
        "UPDATE upgradeHost SET step = ?, why = ? WHERE upgrade = ? AND host = ?",
        step,
        why,
        upgrade,
        host,
      );
      const column = step === "started" || step === "returning" ? "startedAt" : "endedAt";
      run(`UPDATE upgradeHost SET ${column} = ? WHERE upgrade = ? AND host = ?`, at, upgrade, host);
      if (before !== undefined)
        run(
          "UPDATE upgradeHost SET before = ? WHERE upgrade = ? AND host = ?",
          JSON.stringify(before),
          upgrade,
          host,
        );
      return null;
    }
    case "upgrade.ended":
      run(
        "UPDATE upgrade SET endedAt = ?, outcome = ?, why = ?, seconds = ? WHERE id = ?",
        at,
        decision.outcome,
        decision.why,
        decision.seconds,
        decision.upgrade,
      );
      if (decision.outcome === "failed") return null;
      // What was tried and found well is what hosts are brought to from now on.
      run("DELETE FROM chosenRelease");
      run(
        "INSERT INTO chosenRelease SELECT 1, manifest, insteadOf FROM upgrade WHERE id = ? AND insteadOf IS NOT NULL",
        decision.upgrade,
      );
      return null;
    case "hold.released":
      run("DELETE FROM hold WHERE host = ? AND service = ?", decision.host ?? "", decision.service ?? "");
      return null;
    case "permit.given":
      run("UPDATE permit SET givenAt = ? WHERE wish = ?", at, decision.wish);
      return null;
    case "permit.returned":
      run("DELETE FROM permit WHERE wish = ?", decision.wish);
      return null;
  }
}

function startRun(
  db: DatabaseSync,
  at: string,
  run: Pick<Extract<Decision, { type: "run.started" }>, "scope" | "hosts" | "cloudText" | "cause">,
): number {
  const { lastInsertRowid } = db
    .prepare("INSERT INTO run (scope, hosts, cloudText, cause, startedAt) VALUES (?, ?, ?, ?, ?)")
    .run(JSON.stringify(run.scope), JSON.stringify(run.hosts), run.cloudText, JSON.stringify(run.cause), at);
  return Number(lastInsertRowid);
}
