import { createHash } from "node:crypto";
import type { MysqlUserSpec } from "@stackctl/protocol";
import type { Behaviour, Context, State } from "../engine/resource.ts";
import type { Grants } from "../host/host.ts";

const everything = "ALL PRIVILEGES";

/** Keeps a user of the database with its password and exactly its privileges. */
export const mysqlUser: Behaviour<"mysql-user"> = {
  async read(context, spec): Promise<State> {
    const { socket, user, from } = spec;
    const grants = await context.host.database.grants(socket, user, from);
    const hash = grants?.hash ?? null;
    return {
      password: hash === null ? null : hash === wantedHash(context, spec) ? "current" : "other",
      privileges: grants === null ? null : lines(grants).join("; "),
    };
  },
  desired: (spec): State => ({ password: "current", privileges: lines(wanted(spec)).join("; ") }),
  async apply(context, spec, changes) {
    const { database } = context.host;
    const { socket, user, from } = spec;
    if (changes.some(({ field }) => field === "password"))
      await database.setUser(socket, user, from, wantedHash(context, spec));
    const now = pairs((await database.grants(socket, user, from)) ?? { privileges: [], databases: {} });
    const then = pairs(wanted(spec));
    // First what it lacks: whoever uses it must not notice.
    for (const [privilege, on] of without(then, now)) await database.grant(socket, user, from, privilege, on);
    for (const [privilege, on] of without(now, then))
      await database.revoke(socket, user, from, privilege, on);
  },
  async remove({ host }, { socket, user, from }) {
    await host.database.dropUser(socket, user, from);
  },
  owns: ({ user, from }) => [`database-user:${user}@${from}`],
  restarts: () => [],
  disrupts: () => null,
  watch: () => ({}),
};

type Rights = Pick<Grants, "privileges" | "databases">;

function wanted({ privileges, databases }: MysqlUserSpec): Rights {
  return { privileges, databases: Object.fromEntries(databases.map((name) => [name, [everything]])) };
}

/** Each privilege with the database that it is for; null: on everything. */
function pairs({ privileges, databases }: Rights): (readonly [string, string | null])[] {
  return [
    ...privileges.map((privilege) => [privilege, null] as const),
    ...Object.entries(databases).flatMap(([name, each]) =>
      each.map((privilege) => [privilege, name] as const),
    ),
  ];
}

function without(all: ReturnType<typeof pairs>, others: ReturnType<typeof pairs>): ReturnType<typeof pairs> {
  return all.filter(([privilege, on]) => !others.some((other) => other[0] === privilege && other[1] === on));
}

function lines(rights: Rights): string[] {
  return pairs(rights)
    .map(([privilege, on]) => `${privilege} on ${on ?? "everything"}`)
    .toSorted();
}

/** What the server keeps of the password (mysql_native_password): only this is ever sent and compared. */
function wantedHash({ reveal }: Context, { password }: MysqlUserSpec): string {
  const once = createHash("sha1").update(reveal(password)).digest();
  return `*${createHash("sha1").update(once).digest("hex").toUpperCase()}`;
}
