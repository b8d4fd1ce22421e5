import { describe, expect, it } from "vitest";
import type { Lab } from "../lab/lab.ts";
import type { Stack } from "../stack.ts";
import { applied, green, on, until } from "./world.ts";

const controllers = ["controller1", "controller2", "controller3"];
const rings = "/etc/stackctl/keystone-keys";

/** What keystone answered. */
interface Answer {
  readonly status: number;
  readonly token: string | null;
  readonly body: Record<string, unknown>;
}

/** What the keystones do, on a green cloud with three controllers; it is green again afterwards. */
export function keystoneClaims(world: () => { readonly lab: Lab; readonly stack: Stack }): void {
  const run = async (host: string, ...argv: string[]): Promise<string> =>
    (await on(world().lab, host, ...argv)).trim();
  const everywhere = <T>(work: (host: string) => Promise<T>): Promise<T[]> =>
    Promise.all(controllers.map(work));
  const addressOf = (host: string): string =>
    world().lab.hosts.find(({ name }) => name === host)?.management ?? "";
  const startedAt = (host: string): Promise<string> =>
    run(host, "docker", "inspect", "--format", "{{.State.StartedAt}}", "keystone");
  const sql = (statement: string): Promise<string> =>
    run(
      "controller1",
      ...["docker", "exec", "--user", "root", "mariadb", "mariadb", "--batch", "--skip-column-names"],
      ...["--execute", statement],
    );
  let password = "";

  const ask = async (
    host: string,
    path: string,
    options: { method?: string; token?: string; subject?: string; body?: unknown } = {},
  ): Promise<Answer> => {
    const response = await fetch(`http://${addressOf(host)}:5000/v3${path}`, {
      method: options.method ?? (options.body === undefined ? "GET" : "POST"),
      headers: {
        "content-type": "application/json",
        ...(options.token === undefined ? {} : { "x-auth-token": options.token }),
        ...(options.subject === undefined ? {} : { "x-subject-token": options.subject }),
      },
      body: options.body === undefined ? null : JSON.stringify(options.body),
      signal: AbortSignal.timeout(20_000),
    });
    const text = await response.text();
    return {
      status: response.status,
      token: response.headers.get("x-subject-token"),
      body: text === "" ? {} : (JSON.parse(text) as Answer["body"]),
    };
  };
  const logIn = async (host: string): Promise<string> => {
    const domain = { id: "default" };
    const user = { name: "admin", domain, password };
    const { status, token } = await ask(host, "/auth/tokens", {
      body: {
        auth: {
          identity: { methods: ["password"], password: { user } },
          scope: { project: { name: "admin", domain } },
        },
      },
    });
    if (status !== 201 || token === null) throw new Error(`${host} gave no token: ${String(status)}`);
    return token;
  };
  const list = (answer: Answer, name: string): Record<string, string>[] =>
    (answer.body[name] ?? []) as Record<string, string>[];

  describe("keystone on three controllers", () => {
    it("answers on all of them, with equal keys that only keystone reads, and status says so", async () => {
      const { clusters, keys } = await green(world().stack, 30);
      expect(clusters["keystone"]).toMatchObject({ ok: true, text: "3/3 answering" });
      expect(keys).toMatchObject({
        fernet: { generation: 1, equal: 3, all: 3 },
        credential: { generation: 1, equal: 3, all: 3 },
      });
      const found = await everywhere((host) =>
        run(
          host,
          ...["find", rings, "-type", "f", "-printf", "%P %m %U\\n", "-exec", "sha256sum", "{}", ";"],
        ),
      );
      const files = found.map((text) => text.split("\n").toSorted().join("\n"));
      expect(new Set(files).size).toBe(1);
      expect(files[0]?.match(/^(fernet|credential)\/[01] 600 706$/gm)).toHaveLength(4);
    });

    it("gives credentials with which a token is had, in either form", async () => {
      const { stack } = world();
      const openrc = (await stack.run(["credentials"])).stdout;
      password = /^export OS_PASSWORD='([^']+)'$/m.exec(openrc)?.[1] ?? "";
      expect(password).not.toBe("");
      expect((await stack.run(["credentials", "--format", "clouds-yaml"])).stdout).toContain(password);
      await logIn("controller1");
    });

    it("takes the token of each one at each one: 9 of 9", async () => {
      const tokens = await everywhere(logIn);
      const pairs = controllers.flatMap((host) => tokens.map((token) => ({ host, token })));
      const answers = await Promise.all(
        pairs.map(({ host, token }) => ask(host, "/auth/tokens", { token, subject: token })),
      );
      expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 9 }, () => 200));
    });

    it("decrypts everywhere what one of them encrypted", async () => {
      const token = await logIn("controller2");
      const [user] = list(await ask("controller2", "/users?name=admin", { token }), "users");
      const made = await ask("controller2", "/credentials", {
        token,
        body: {
          credential: { type: "claim", blob: "of the second", user_id: user?.["id"] },
        },
      });
      expect(made.status, JSON.stringify(made.body)).toBe(201);
      const { id } = made.body["credential"] as { id: string };
      expect(await sql(`SELECT encrypted_blob FROM keystone.credential WHERE id = '${id}'`)).not.toContain(
        "of the second",
      );
      const blobs = await everywhere(async (host) => {
        const { body } = await ask(host, `/credentials/${id}`, { token });
        return (body["credential"] as { blob?: string } | undefined)?.blob;
      });
      expect(blobs).toEqual(controllers.map(() => "of the second"));
      await ask("controller2", `/credentials/${id}`, { token, method: "DELETE" });
    });

    it("is neither changed nor restarted by a second apply", async () => {
      const before = await everywhere(startedAt);
      expect(applied(await world().stack.run(["apply", "controller", "--json"])).totals).toMatchObject({
        changed: 0,
        failed: 0,
        skipped: 0,
      });
      expect(await everywhere(startedAt)).toEqual(before);
    });

    it("has a deleted endpoint, and a deleted user of the database, put back by itself", async () => {
      const token = await logIn("controller3");
      const internal = async (): Promise<string | undefined> =>
        list(await ask("controller3", "/endpoints?interface=internal", { token }), "endpoints")[0]?.["url"];
      const users = (): Promise<string> => sql("SELECT COUNT(*) FROM mysql.user WHERE user = 'keystone'");
      const before = await internal();
      const [endpoint] = list(
        await ask("controller3", "/endpoints?interface=internal", { token }),
        "endpoints",
      );
      await ask("controller3", `/endpoints/${endpoint?.["id"] ?? ""}`, { token, method: "DELETE" });
      expect(await internal()).toBeUndefined();
      await sql(
        `DROP USER ${await sql("SELECT CONCAT(QUOTE(user), '@', QUOTE(host)) FROM mysql.user WHERE user = 'keystone'")}`,
      );
      expect(await users()).toBe("0");
      await until("the user is back", 90, async () => ((await users()) === "1" ? true : null));
      await until("the endpoint is back", 90, async () => ((await internal()) === before ? true : null));
      await logIn("controller2");
      await green(world().stack, 60);
    });

    it("has a cut-off key put back, and leaves alone what signs with a key that it does not know", async () => {
      const { stack } = world();
      const hash = (): Promise<string> => run("controller2", "sha256sum", `${rings}/fernet/0`);
      const before = await hash();
      await run("controller2", "truncate", "--size", "20", `${rings}/fernet/0`);
      await until("the key is back", 30, async () => ((await hash()) === before ? true : null));
      const stray = `${rings}/fernet/5`;
      await run(
        "controller2",
        "sh",
        "-c",
        `printf 'YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=' > ${stray}`,
      );
      const ended = await stack.run(["repair", "controller2", "key-ring/fernet", "--json"]);
      expect(ended.stdout + ended.stderr).toContain("did not make");
      expect(await run("controller2", "ls", `${rings}/fernet`)).toBe("0\n1\n5");
      await run("controller2", "rm", stray);
      await stack.run(["repair", "controller2", "key-ring/fernet"]);
      await green(stack, 60);
    });

    it("shows its passwords and keys to nobody", async () => {
      const key = await run("controller1", "cat", `${rings}/fernet/1`);
      for (const host of controllers) {
        const told = await run(
          host,
          ...["sh", "-c", "docker inspect $(docker ps -aq); journalctl --no-pager -o cat -b; ps axeww"],
        );
        expect(told.includes(password), `the password on ${host}`).toBe(false);
        expect(told.includes(key), `a key on ${host}`).toBe(false);
      }
    });
  });
}
