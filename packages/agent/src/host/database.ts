import type { Connection, ConnectionConfig } from "mariadb";
import { StackctlError } from "@stackctl/protocol";
import type { Database, Grants } from "./host.ts";

const connectMs = 2000;
const queryMs = 20_000;

/** An SQL error that says: there is no such grant (mariadb-server 10.11, errmsg). */
const noSuchGrant = 1141;
/** There is no such table, or no such database. */
const noSuchTable = 1146;

/** MariaDB over a socket, one connection each, kept. Its client is loaded at the first use: most hosts have no database. */
export function linuxDatabase(): Database {
  const open = new Map<string, Promise<Connection>>();

  const connected = (socket: string): Promise<Connection> => {
    const known = open.get(socket);
    if (known !== undefined) return known;
    const forget = (): void => {
      if (open.get(socket) === connection) open.delete(socket);
    };
    const connection = connect(socket).then((made) => {
      made.on("error", forget);
      made.on("end", forget);
      return made;
    });
    open.set(socket, connection);
    connection.catch(forget);
    return connection;
  };

  const ask = async (socket: string, sql: string, values: readonly string[] = []): Promise<Row[]> => {
    let connection: Connection;
    try {
      connection = await connected(socket);
    } catch (cause) {
      throw unreachable(socket, cause);
    }
    try {
      const answer: unknown = await connection.query({ sql, timeout: queryMs }, [...values]);
      return Array.isArray(answer) ? (answer as Row[]) : [];
    } catch (cause) {
      if (sqlNumber(cause) !== null) throw refusedSql(cause);
      open.delete(socket);
      connection.destroy();
      throw unreachable(socket, cause);
    }
  };

  return {
    wsrep: async (socket) => {
      const rows = await orNull(
        ask(
          socket,
          "SELECT LOWER(variable_name) AS name, variable_value AS value FROM information_schema.global_status " +
            "WHERE variable_name IN ('wsrep_local_state_comment', 'wsrep_cluster_status', 'wsrep_cluster_size', " +
            "'wsrep_ready', 'wsrep_cluster_state_uuid')",
        ),
      );
      if (rows === null) return null;
      const value = (name: string): string =>
        String(rows.find((row) => row["name"] === `wsrep_${name}`)?.["value"] ?? "");
      return {
        state: value("local_state_comment"),
        primary: value("cluster_status") === "Primary",
        size: Number(value("cluster_size")) || 0,
        ready: value("ready") === "ON",
        uuid: value("cluster_state_uuid"),
      };
    },
    exists: async (socket, database) =>
      (
        await ask(socket, "SELECT 1 AS found FROM information_schema.schemata WHERE schema_name = ?", [
          database,
        ])
      ).length > 0,
    create: async (socket, database) => {
      await ask(socket, `CREATE DATABASE IF NOT EXISTS ${quoted(database)} CHARACTER SET utf8mb4`);
    },
    grants: async (socket, user, from) => {
      try {
        const rows = await ask(socket, "SHOW GRANTS FOR ?@?", [user, from]);
        return parseGrants(rows.flatMap((row) => Object.values(row).map(String)));
      } catch (error) {
        if (error instanceof StackctlError && sqlNumber(error.cause) === noSuchGrant) return null;
        throw error;
      }
    },
    setUser: async (socket, user, from, hash) => {
      await ask(socket, "CREATE USER IF NOT EXISTS ?@? IDENTIFIED BY PASSWORD ?", [user, from, hash]);
      await ask(socket, "ALTER USER ?@? IDENTIFIED BY PASSWORD ?", [user, from, hash]);
    },
    grant: async (socket, user, from, privilege, database) => {
      await ask(socket, `GRANT ${privilege} ON ${target(database)} TO ?@?`, [user, from]);
    },
    revoke: async (socket, user, from, privilege, database) => {
      await ask(socket, `REVOKE ${privilege} ON ${target(database)} FROM ?@?`, [user, from]);
    },
    dropUser: async (socket, user, from) => {
      await ask(socket, "DROP USER IF EXISTS ?@?", [user, from]);
    },
    schema: async (socket, database) => {
      const tables = await ask(
        socket,
        "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = ? AND table_name IN ('alembic_version', 'migrate_version')",
        [database],
      );
      const names = tables.map((row) => String(row["name"]));
      const versions: string[] = [];
      // A database that came from the old tool has both; its new one tells how far it is.
      if (names.includes("alembic_version")) {
        const rows = await ask(
          socket,
          `SELECT version_num AS version FROM ${quoted(database)}.alembic_version`,
        );
        versions.push(...rows.map((row) => String(row["version"])));
      } else if (names.includes("migrate_version")) {
        const rows = await ask(
          socket,
          `SELECT repository_id AS name, version FROM ${quoted(database)}.migrate_version`,
        );
        versions.push(...rows.map((row) => `${String(row["name"])} ${String(row["version"])}`));
      }
      return versions.length === 0 ? null : versions.toSorted().join(", ");
    },
    keystoneAdmin: async (socket, database) => {
      try {
        const rows = await ask(socket, adminQuery(quoted(database)));
        const hash = rows[0]?.["hash"] ?? null;
        return hash === null ? null : String(hash);
      } catch (error) {
        if (error instanceof StackctlError && sqlNumber(error.cause) === noSuchTable) return null;
        throw error;
      }
    },
  };
}

/** keystone's own tables (keystone 22.0.2, keystone/identity/backends/sql_model.py and keystone/assignment/backends/sql.py). */
function adminQuery(database: string): string {
  return (
    `SELECT password.password_hash AS hash FROM ${database}.local_user ` +
    `JOIN ${database}.user ON user.id = local_user.user_id AND user.enabled ` +
    `JOIN ${database}.password ON password.local_user_id = local_user.id ` +
    `JOIN ${database}.assignment ON assignment.actor_id = user.id AND assignment.type = 'UserProject' ` +
    `JOIN ${database}.role ON role.id = assignment.role_id AND role.name = 'admin' ` +
    `JOIN ${database}.project ON project.id = assignment.target_id AND project.name = 'admin' AND project.enabled ` +
    "WHERE local_user.name = 'admin' AND local_user.domain_id = 'default' " +
    "ORDER BY password.created_at_int DESC LIMIT 1"
  );
}

/** All that is asked for comes as text or a number. */
type Row = Readonly<Record<string, string | number | null>>;

async function connect(socket: string): Promise<Connection> {
  const { createConnection } = await import("mariadb");
  const options: ConnectionConfig = {
    socketPath: socket,
    user: "root",
    connectTimeout: connectMs,
    bigIntAsNumber: true,
    checkNumberRange: true,
  };
  return createConnection(options);
}

/**
 * What SHOW GRANTS says of a user (mariadb 10.11). Null for the hash: it logs in by other means than a password.
 * @throws StackctlError `database_refused` for a line of another form
 */
export function parseGrants(lines: readonly string[]): Grants {
  const grants = {
    hash: null as string | null,
    privileges: [] as string[],
    databases: {} as Record<string, string[]>,
  };
  for (const line of lines) {
    const [, what, where] = /^GRANT (.+?) ON (\*\.\*|`(?:[^`]|``)+`\.\*) TO /.exec(line) ?? [];
    if (what === undefined || where === undefined)
      throw new StackctlError(
        "database_refused",
        `a grant of another form: ${line.replace(/'\*[0-9A-F]+'/, "'...'")}`,
      );
    const privileges = what.split(", ").filter((each) => each !== "USAGE");
    if (where === "*.*") {
      grants.privileges.push(...privileges);
      grants.hash = /IDENTIFIED BY PASSWORD '(\*[0-9A-F]{40})'/.exec(line)?.[1] ?? null;
    } else grants.databases[where.slice(1, -3).replaceAll("``", "`").replaceAll("\\_", "_")] = privileges;
    if (line.endsWith(" WITH GRANT OPTION")) grants.privileges.push("GRANT OPTION");
  }
  return grants;
}

function target(database: string | null): string {
  // An underscore would stand for any letter.
  return database === null ? "*.*" : `${quoted(database.replaceAll("_", "\\_"))}.*`;
}

function quoted(name: string): string {
  return `\`${name.replaceAll("`", "``")}\``;
}

async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof StackctlError && error.code === "database_unreachable") return null;
    throw error;
  }
}

/** The server's own number of an error; null: the error is not the server's. Those from 45000 on are the client's. */
function sqlNumber(error: unknown): number | null {
  const number = error instanceof Error && "errno" in error ? error.errno : null;
  return typeof number === "number" && number > 0 && number < 45_000 ? number : null;
}

function unreachable(socket: string, cause: unknown): StackctlError {
  return new StackctlError("database_unreachable", `the database at ${socket} does not answer`, {
    retryable: true,
    details: { remedy: "stackctl logs mariadb" },
    cause,
  });
}

/** The server's refusal without the statement, which the client adds and which may hold what is nobody's business. */
function refusedSql(cause: unknown): StackctlError {
  const message =
    cause instanceof Error && "sqlMessage" in cause ? String(cause.sqlMessage) : "it gave no reason";
  return new StackctlError("database_refused", `the database refused: ${message}`, {
    retryable: true,
    cause,
  });
}
