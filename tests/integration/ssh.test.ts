import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectApi } from "@stackctl/cli/bus/nats.ts";
import { readServerFile, stopServer } from "@stackctl/cli/server-process.ts";
import { Session } from "@stackctl/cli/session.ts";
import type { PreflightRow } from "@stackctl/protocol";
import { Logins } from "@stackctl/server/bootstrap/logins.ts";
import type { SshSession } from "@stackctl/server/bootstrap/ssh.ts";
import type { Cloud, CloudHost } from "@stackctl/server/config/model.ts";
import { exampleCloud } from "@stackctl/server/testing/example-cloud.ts";
import { initAnswers, renderInit } from "@stackctl/server/config/init.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeKey, startSshAgent, startSshd, username, type Sshd } from "./sshd.ts";
import { freePort } from "./world.ts";

const folder = mkdtempSync(join(tmpdir(), "stackctl-ssh-"));
const key = makeKey(join(folder, "key"));
const passphrase = "correct horse";
const locked = makeKey(join(folder, "locked"), passphrase);
const stranger = makeKey(join(folder, "stranger"));

let target: Sshd;
let jump: Sshd;

beforeAll(async () => {
  const authorizedKeys = [key.publicKey, locked.publicKey];
  target = await startSshd({ authorizedKeys });
  // Two logins under way at once, no more: many hosts get through by one connection, or not at all.
  jump = await startSshd({ authorizedKeys, more: ["MaxStartups 2:100:2", "LogLevel DEBUG1"] });
});
afterAll(async () => {
  await target.stop();
  await jump.stop();
  rmSync(folder, { recursive: true });
});

interface Way {
  readonly privateKey?: string | null;
  readonly passphrase?: string | null;
  readonly agentSocket?: string | null;
  readonly jump?: { readonly port: number; readonly hostKey?: string } | null;
  readonly port?: number;
  readonly pins?: Readonly<Record<string, string>>;
}

function login(way: Way): { logins: Logins; host: CloudHost; cloud: Cloud } {
  const [example] = exampleCloud.hosts;
  if (example === undefined) throw new Error("the example has no hosts");
  const host: CloudHost = {
    ...example,
    addresses: { ...example.addresses, management: "127.0.0.1" },
    sshPort: way.port ?? target.port,
  };
  const cloud: Cloud = {
    ...exampleCloud,
    hosts: [host],
    ssh: {
      user: username,
      port: 22,
      privateKey: way.privateKey === undefined ? key.file : way.privateKey,
      jumpHost:
        way.jump === undefined || way.jump === null
          ? null
          : { host: "127.0.0.1", user: username, port: way.jump.port, hostKey: way.jump.hostKey ?? null },
    },
  };
  const logins = new Logins({
    pin: (name) => way.pins?.[name] ?? null,
    passphrase: () => way.passphrase ?? null,
    agentSocket: way.agentSocket ?? null,
  });
  return { logins, host, cloud };
}

function connect(way: Way): Promise<SshSession> {
  const { logins, host, cloud } = login(way);
  return logins.connect(host, cloud);
}

/** Logs in, runs a command there and ends the session. */
async function said(way: Way): Promise<string> {
  const session = await connect(way);
  try {
    return (await session.run(["echo", "it's me"], { timeoutMs: 50_000 })).stdout;
  } finally {
    session.close();
  }
}

/** Code, sentence and remedy of a login that has to fail. */
async function refusal(way: Way): Promise<{ code: string; message: string; remedy: string }> {
  const error: unknown = await connect(way).then(
    (session) => {
      session.close();
      throw new Error("it let us in");
    },
    (thrown: unknown) => thrown,
  );
  const { code, message, details } = error as { code: string; message: string; details: { remedy: string } };
  return { code, message, remedy: details.remedy };
}

const closed = (): Promise<number> => freePort();

describe("a login with a key file", () => {
  it("runs what it is told, and has seen the host's key", async () => {
    expect(await said({})).toBe("it's me\n");
    const session = await connect({});
    expect(session.keys).toEqual([{ pinName: "controller1", fingerprint: target.fingerprint }]);
    session.close();
  });

  it("gives standard input to what it runs, and tells its exit code and standard error", async () => {
    const session = await connect({});
    const ran = await session.run(["sh", "-c", "cat; echo no >&2; exit 3"], {
      timeoutMs: 50_000,
      input: "in",
    });
    expect(ran).toEqual({ code: 3, stdout: "in", stderr: "no\n" });
    session.close();
  });

  it("ends with the host's name and the key that it was, when the host's key changed", async () => {
    expect(await refusal({ pins: { controller1: "SHA256:old" } })).toEqual({
      code: "host_key_changed",
      message: `controller1: host key changed (${target.fingerprint}, was SHA256:old)`,
      remedy: "if the machine was reinstalled: stackctl host forget-key controller1",
    });
  });

  it("says who is not let in with what, and where the key belongs", async () => {
    expect(await refusal({ privateKey: stranger.file })).toMatchObject({
      code: "ssh_auth_failed",
      message: `controller1 (127.0.0.1:${String(target.port)}) lets ${username} not in with ${stranger.file}`,
      remedy: expect.stringContaining("authorized_keys on controller1") as string,
    });
  });

  it("says what to try when nobody listens", async () => {
    const port = await closed();
    expect(await refusal({ port })).toEqual({
      code: "ssh_unreachable",
      message: `controller1 (127.0.0.1:${String(port)}) refuses connections: does sshd run there?`,
      remedy: `try: ssh -v -p ${String(port)} ${username}@127.0.0.1`,
    });
  });
});

describe("a key with a passphrase", () => {
  const old = makeKey(join(folder, "old"), passphrase, ["-t", "rsa", "-b", "2048", "-m", "PEM"]);
  const pkcs8 = makeKey(join(folder, "pkcs8"), passphrase, ["-t", "rsa", "-b", "2048", "-m", "PKCS8"]);

  it("opens with the one of the vault", async () => {
    expect(await said({ privateKey: locked.file, passphrase })).toBe("it's me\n");
  });

  it.each([locked, old, pkcs8].map(({ file }) => file))("needs one: %s", async (file) => {
    expect(await refusal({ privateKey: file })).toMatchObject({
      code: "ssh_key_unreadable",
      message: `the ssh key ${file} has a passphrase, and the vault does not know it`,
      remedy: expect.stringMatching(/^stackctl secret set ssh-key-passphrase/) as string,
    });
  });

  it.each([locked, old].map(({ file }) => file))("says so when it is a wrong one: %s", async (file) => {
    const refused = await refusal({ privateKey: file, passphrase: "wrong" });
    expect(refused).toEqual({
      code: "ssh_key_unreadable",
      message: `the passphrase in the vault does not open the ssh key ${file}`,
      remedy: "stackctl secret set ssh-key-passphrase",
    });
  });

  it("is not in the way of a key without one", async () => {
    expect(await said({ passphrase: "of a former key" })).toBe("it's me\n");
  });

  it.each([
    ["PKCS #8", pkcs8.file, /ssh-keygen -p -f/],
    ["a public key", `${key.file}.pub`, /private one/],
    ["no key at all", import.meta.filename, /ssh-keygen/],
    ["no file", join(folder, "none"), /ssh-keygen -t ed25519/],
  ])("is told from %s, with what to do", async (_name, privateKey, remedy) => {
    const refused = await refusal({ privateKey, passphrase });
    expect(refused).toMatchObject({ code: "ssh_key_unreadable" });
    expect(refused.message).toContain(privateKey);
    expect(refused.message).not.toContain(passphrase);
    expect(refused.remedy).toMatch(remedy);
  });
});

describe("an ssh agent", () => {
  it("lets us in with the key that it holds", async () => {
    const agent = await startSshAgent(folder);
    agent.add(key.file);
    expect(await said({ privateKey: null, agentSocket: agent.socket })).toBe("it's me\n");
    expect(await said({ privateKey: null, agentSocket: agent.socket, jump })).toBe("it's me\n");
    await agent.stop();
  });

  it("is told from one without a key, from one that ended, and from none", async () => {
    const agent = await startSshAgent(folder);
    const { socket } = agent;
    expect(await refusal({ privateKey: null, agentSocket: socket })).toEqual({
      code: "ssh_key_unreadable",
      message: `the ssh agent at ${socket} holds no key`,
      remedy: "give it yours with: ssh-add",
    });
    agent.add(stranger.file);
    expect((await refusal({ privateKey: null, agentSocket: socket })).message).toMatch(
      /not in with the ssh agent's key$/,
    );
    await agent.stop();
    const gone = await refusal({ privateKey: null, agentSocket: socket });
    expect(gone.message).toContain(`the ssh agent at ${socket} does not answer`);
    expect(gone.remedy).toContain("ssh-add -l");
    const none = await refusal({ privateKey: null });
    expect(none).toMatchObject({
      code: "ssh_key_unreadable",
      message: expect.stringContaining("SSH_AUTH_SOCK") as string,
    });
    expect(none.remedy).toContain("ssh-agent");
  });
});

describe("a jump host", () => {
  const name = (): string => `${username}@127.0.0.1:${String(jump.port)}`;

  it("is gone through, and its key is seen like the host's", async () => {
    const before = target.log().length;
    const session = await connect({ jump });
    expect(session.keys).toEqual([
      { pinName: `127.0.0.1:${String(jump.port)}`, fingerprint: jump.fingerprint },
      { pinName: "controller1", fingerprint: target.fingerprint },
    ]);
    expect((await session.run(["echo", "through"], { timeoutMs: 50_000 })).stdout).toBe("through\n");
    session.close();
    expect(jump.log()).toContain(`target 127.0.0.1 port ${String(target.port)}`);
    expect(target.log().slice(before)).toContain("Accepted publickey");
  });

  it("gets one connection from many hosts at once, and none once all are done", async () => {
    const { logins, host, cloud } = login({ jump });
    const begun = jump.log().split("Accepted publickey").length;
    const sessions = await Promise.all(Array.from({ length: 12 }, () => logins.connect(host, cloud)));
    expect(jump.log().split("Accepted publickey").length - begun).toBe(1);
    for (const session of sessions) session.close();
    const after = await logins.connect(host, cloud);
    expect(jump.log().split("Accepted publickey").length - begun).toBe(2);
    after.close();
  });

  it("is connected to anew after it went down, and heals by itself", async () => {
    const other = await startSshd({ authorizedKeys: [key.publicKey] });
    const { logins, host, cloud } = login({ jump: other });
    const session = await logins.connect(host, cloud);
    await other.stop();
    // What was forked for the connection lives on; the next one needs a listener.
    session.close();
    await expect(logins.connect(host, cloud)).rejects.toMatchObject({
      code: "ssh_unreachable",
      retryable: true,
    });
    const again = await startSshd({ authorizedKeys: [key.publicKey], port: other.port });
    (await logins.connect(host, cloud)).close();
    await again.stop();
  });

  it("is named when it is the one that is down", async () => {
    const port = await closed();
    expect(await refusal({ jump: { port } })).toEqual({
      code: "ssh_unreachable",
      message: `the jump host ${username}@127.0.0.1:${String(port)} refuses connections: does sshd run there?`,
      remedy: `try: ssh -v -p ${String(port)} ${username}@127.0.0.1`,
    });
  });

  it("is not blamed when the host behind it is the one that is down", async () => {
    const port = await closed();
    expect(await refusal({ jump, port })).toEqual({
      code: "ssh_unreachable",
      message: `controller1 (127.0.0.1:${String(port)}), asked by the jump host ${name()}, refuses connections: does sshd run there?`,
      remedy: `try: ssh -v -J ${name()} -p ${String(port)} ${username}@127.0.0.1`,
    });
  });

  it("is named when its key changed, with what forgets it", async () => {
    const pinName = `127.0.0.1:${String(jump.port)}`;
    expect(await refusal({ jump, pins: { [pinName]: "SHA256:old" } })).toEqual({
      code: "host_key_changed",
      message: `the jump host ${name()}: host key changed (${jump.fingerprint}, was SHA256:old)`,
      remedy: `if the machine was reinstalled: stackctl host forget-key ${pinName}`,
    });
  });

  it("must have the key that the file demands, from the first time on", async () => {
    const wanted = `SHA256:${"a".repeat(43)}`;
    const refused = await refusal({ jump: { port: jump.port, hostKey: wanted } });
    expect(refused).toMatchObject({
      code: "host_key_changed",
      remedy: expect.stringContaining("hostKey") as string,
    });
    expect(await said({ jump: { port: jump.port, hostKey: jump.fingerprint } })).toBe("it's me\n");
  });

  it("is named when it is the one that lets nobody in", async () => {
    const strict = await startSshd({ authorizedKeys: [stranger.publicKey] });
    const refused = await refusal({ jump: strict });
    expect(refused.code).toBe("ssh_auth_failed");
    expect(refused.message).toContain(`the jump host ${username}@127.0.0.1:${String(strict.port)} lets`);
    await strict.stop();
  });

  it("that forbids to go through is told from a host that is down", async () => {
    const closedJump = await startSshd({ authorizedKeys: [key.publicKey], more: ["AllowTcpForwarding no"] });
    const refused = await refusal({ jump: closedJump });
    expect(refused).toMatchObject({
      code: "ssh_jump_refused",
      message: expect.stringContaining("controller1") as string,
    });
    expect(refused.remedy).toContain("AllowTcpForwarding yes");
    await closedJump.stop();
  });

  it("is asked whether a host that was off is back", async () => {
    const up = login({ jump });
    expect(await up.logins.listens(up.host, up.cloud)).toBe(true);
    const off = login({ jump, port: await closed() });
    expect(await off.logins.listens(off.host, off.cloud)).toBe(false);
    const alone = login({ jump: { port: await closed() } });
    expect(await alone.logins.listens(alone.host, alone.cloud)).toBe(false);
  });
});

describe("the server", () => {
  const place = { cloudFile: join(folder, "cloud.yaml"), home: join(folder, "home") };
  const session = new Session(place, () => undefined);
  let host: Sshd;
  let serverPort = 0;

  beforeAll(async () => {
    serverPort = await freePort();
    host = await startSshd({ authorizedKeys: [key.publicKey, locked.publicKey], address: "127.0.10.11" });
    const socket = process.env["SSH_AUTH_SOCK"];
    delete process.env["SSH_AUTH_SOCK"];
    writeFileSync(place.cloudFile, cloudFile(null));
    await session.call("status", {}, null);
    if (socket !== undefined) process.env["SSH_AUTH_SOCK"] = socket;
  });
  afterAll(async () => {
    await session.close();
    const running = readServerFile(place);
    if (running !== null) await stopServer(await connectApi(running), running.pid);
    await host.stop();
  });

  /** A host of loopback whose packages come from nowhere: nothing leaves this machine. */
  function cloudFile(privateKey: string | null): string {
    return renderInit(
      initAnswers.parse({
        controllers: 1,
        computes: 0,
        management: { cidr: "127.0.10.0/24" },
        ssh: { user: username, port: host.port, privateKey },
        packages: { mirror: "http://127.0.0.1:9/debian" },
        server: { address: "127.0.0.1", port: serverPort },
      }),
    );
  }
  const row = async (sshAgent?: string): Promise<PreflightRow | undefined> => {
    const request = { scope: ["controller1"], ...(sshAgent === undefined ? {} : { sshAgent }) };
    const { rows } = await session.call("preflight", request, null, 60_000);
    return rows[0];
  };

  it("logs in with the agent of whoever types, though it was started without one", async () => {
    expect(await row()).toMatchObject({
      ssh: "FAIL",
      problems: [{ text: expect.stringContaining("SSH_AUTH_SOCK") as string }],
    });
    const agent = await startSshAgent(folder);
    agent.add(key.file);
    expect(await row(agent.socket)).toMatchObject({ ssh: "ok", via: "ssh" });
    await agent.stop();
    expect(await row()).toMatchObject({
      ssh: "FAIL",
      problems: [{ remedy: expect.stringContaining("ssh-add") as string }],
    });
  });

  it("opens the key with the passphrase of the vault, and never shows it", async () => {
    writeFileSync(place.cloudFile, cloudFile(locked.file));
    expect(await row()).toMatchObject({
      ssh: "FAIL",
      problems: [{ remedy: expect.stringContaining("secret set ssh-key-passphrase") as string }],
    });
    await session.call("secret-set", { name: "ssh-key-passphrase", value: "wrong" }, null);
    expect(await row()).toMatchObject({
      ssh: "FAIL",
      problems: [{ text: expect.stringContaining("does not open") as string }],
    });
    await session.call("secret-set", { name: "ssh-key-passphrase", value: passphrase }, null);
    expect(await row()).toMatchObject({ ssh: "ok" });
    expect(readFileSync(join(place.home, "server.log"), "utf8")).not.toContain(passphrase);
  });
});
