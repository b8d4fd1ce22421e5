import { randomUUID } from "node:crypto";
import type { WebAnswer, WebRequest } from "../host/host.ts";

type Row = Record<string, unknown>;

/** As much of keystone's API v3 as the catalog asks for, in memory; a test may read and edit its rows. */
export class FakeKeystone {
  /** By kind, such as `services`. */
  readonly rows: Record<string, Row[]> = {
    regions: [],
    projects: [{ id: "admin", name: "admin", domain_id: "default" }],
    services: [],
    endpoints: [],
    users: [],
    roles: [{ id: "r1", name: "admin" }],
  };
  /** Passwords by user. */
  readonly passwords = new Map<string, string>();
  /** Who has which role where, as `project/user/role`. */
  readonly assignments = new Set<string>();
  /** Tokens that are taken. */
  readonly tokens = new Set<string>();

  /** @param admin the password of `admin` */
  constructor(admin: string) {
    this.passwords.set("admin", admin);
  }

  /** What it answers to a request. */
  answer(request: WebRequest): WebAnswer {
    const url = new URL(request.url);
    const [kind = "", id, ...more] = url.pathname.replace(/^\/v3\//, "").split("/");
    const body = request.body === undefined ? {} : (JSON.parse(request.body) as Record<string, Row>);
    if (kind === "auth") return this.#logIn(body["auth"] ?? {});
    if (!this.tokens.has(request.headers?.["x-auth-token"] ?? "")) return answerOf(401, {});
    if (more[0] === "users") {
      this.assignments.add(`${id ?? ""}/${more[1] ?? ""}/${more[3] ?? ""}`);
      return answerOf(204, null);
    }
    const rows = (this.rows[kind] ??= []);
    const one = kind.slice(0, -1);
    const found = rows.find((row) => row["id"] === id);
    if (request.method === "POST") {
      const { password, ...given } = body[one] ?? {};
      const row: Row = { id: randomUUID(), ...given };
      if (typeof password === "string") this.passwords.set(String(row["name"]), password);
      rows.push(row);
      return answerOf(201, { [one]: row });
    }
    if (request.method === "GET" && id === undefined) {
      const wanted = [...url.searchParams];
      const matching = rows.filter((row) => wanted.every(([key, value]) => row[key] === value));
      return answerOf(200, { [kind]: matching });
    }
    if (found === undefined) return answerOf(404, {});
    if (request.method === "GET") return answerOf(200, { [one]: found });
    if (request.method === "DELETE") {
      rows.splice(rows.indexOf(found), 1);
      return answerOf(204, null);
    }
    const { password, ...given } = body[one] ?? {};
    if (typeof password === "string") this.passwords.set(String(found["name"]), password);
    Object.assign(found, given);
    return answerOf(200, { [one]: found });
  }

  #logIn(auth: Row): WebAnswer {
    const { identity, scope } = auth as {
      identity: { password: { user: { name: string; password: string } } };
      scope: { project: { name: string } };
    };
    const { name, password } = identity.password.user;
    const roles = this.#rolesOf(name, scope.project.name);
    // keystone lets nobody into a project without a role in it.
    if (this.passwords.get(name) !== password || roles.length === 0) return answerOf(401, {});
    const token = randomUUID();
    this.tokens.add(token);
    const given = { token: { roles: roles.map((each) => ({ name: each })) } };
    return { ...answerOf(201, given), header: (wanted) => (wanted === "x-subject-token" ? token : null) };
  }

  #rolesOf(user: string, project: string): string[] {
    if (user === "admin") return ["admin"];
    const idOf = (kind: string, name: string): string =>
      String(this.rows[kind]?.find((row) => row["name"] === name)?.["id"]);
    const names = (this.rows["roles"] ?? []).map((row) => String(row["name"]));
    return names.filter((role) =>
      this.assignments.has(`${idOf("projects", project)}/${idOf("users", user)}/${idOf("roles", role)}`),
    );
  }
}

function answerOf(status: number, json: Row | null): WebAnswer {
  return { status, header: () => null, text: json === null ? "" : JSON.stringify(json) };
}
