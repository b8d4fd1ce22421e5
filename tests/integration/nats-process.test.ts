import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NatsConnection } from "@nats-io/transport-node";
import { subjects } from "@stackctl/protocol";
import { startNats, type NatsProcess } from "@stackctl/server/nats/process.ts";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { bytes, freePort, makeWorld, newUser, textOf, until, type World } from "./world.ts";

let world: World;
const started: NatsProcess[] = [];
const folders: string[] = [];
beforeAll(async () => {
  world = await makeWorld(["a1", "a2"]);
});
afterEach(async () => {
  for (const nats of started.splice(0)) await nats.stop();
});
afterAll(async () => {
  await world.close();
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "stackctl-nats-"));
  folders.push(folder);
  return folder;
}

/** Everyone who is let in at the start. */
const everyone = (): { host: string; nkey: string }[] => [...world.options.agents];

/** A PubAck for an event proves that an account's imports work. */
async function eventStored(connection: NatsConnection, host: string): Promise<number> {
  const { data } = await connection.request(subjects.result(host), bytes("x"), { timeout: 3000 });
  return (JSON.parse(textOf(data)) as { seq: number }).seq;
}

describe("startNats", () => {
  it("names address and port, and what to do, when something else listens there", async () => {
    const port = await freePort();
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(port, "127.0.0.1", resolve));
    await expect(startNats({ ...world.options, home: newFolder(), port })).rejects.toMatchObject({
      code: "nats_start_failed",
      message: `127.0.0.1:${String(port)} is in use by another process`,
      details: { remedy: expect.stringContaining("server.port") as unknown },
    });
    await new Promise((resolve) => other.close(resolve));
  });

  it("refuses an address that is not this machine's", async () => {
    await expect(
      startNats({ ...world.options, home: newFolder(), address: "192.0.2.1" }),
    ).rejects.toMatchObject({
      code: "address_not_local",
      details: { found: "192.0.2.1", expected: expect.stringContaining("127.0.0.1") as unknown },
    });
  });

  it("says what nats-server says when it refuses its configuration", async () => {
    const port = await freePort();
    await expect(
      startNats({ ...world.options, home: newFolder(), port, certificate: "no certificate" }),
    ).rejects.toMatchObject({
      code: "nats_start_failed",
      details: { found: expect.stringMatching(/certificate/) as unknown },
    });
  });

  it("says what the log says when nats-server cannot start, and tries no longer", async () => {
    const home = newFolder();
    // A file stands where the streams' folder has to be; `-t` does not look.
    writeFileSync(join(home, "jetstream"), "");
    const port = await freePort();
    await expect(startNats({ ...world.options, home, port })).rejects.toMatchObject({
      code: "nats_start_failed",
      message: `nats-server does not answer at 127.0.0.1:${String(port)}`,
      details: { found: expect.stringMatching(/not a directory|storage directory/i) as unknown },
    });
  });

  it("lets nobody else read what it writes", () => {
    const { home } = world.options;
    expect(statSync(home).mode & 0o777).toBe(0o700);
    for (const name of ["nats.conf", "nats.key", "nats.pem"])
      expect(statSync(join(home, name)).mode & 0o777, name).toBe(0o600);
    const written = readdirSync(home).filter((name) => statSync(join(home, name)).isFile());
    for (const name of written.filter((each) => each !== "nats.key"))
      expect(readFileSync(join(home, name), "utf8"), name).not.toMatch(/PRIVATE KEY|\bS[A-Z2-7]{57}\b/);
  });
});

describe("a nats-server that runs", () => {
  it("is started again when it is killed, and stopped for good when asked", async () => {
    const port = await freePort();
    const said: string[] = [];
    const nats = await startNats({
      ...world.options,
      home: newFolder(),
      port,
      log: (fields, message) => said.push(`${message} ${JSON.stringify(fields)}`),
    });
    started.push(nats);
    const first = nats.pid();
    process.kill(first ?? 0, "SIGKILL");
    await until("another one", () => nats.pid() !== null && nats.pid() !== first);
    expect(said.filter((line) => line.startsWith("nats-server ended"))).toHaveLength(1);
    const second = nats.pid();
    process.kill(second ?? 0, "SIGKILL");
    await until("it noticed", () => nats.pid() === null);
    // While it waits before the next start.
    await nats.stop();
    await new Promise((resolve) => setTimeout(resolve, 1200));
    expect(nats.pid()).toBeNull();
  });

  it("ends with the process that started it, also when that is killed", async () => {
    const home = newFolder();
    const port = await freePort();
    const options = { ...world.options, home, port, log: undefined };
    const script = join(home, "start.ts");
    const processModule = join(import.meta.dirname, "../../packages/server/src/nats/process.ts");
    writeFileSync(join(home, "options.json"), JSON.stringify(options), { mode: 0o600 });
    writeFileSync(
      script,
      `import { readFileSync } from "node:fs";
import { startNats } from ${JSON.stringify(processModule)};
const options = JSON.parse(readFileSync(${JSON.stringify(join(home, "options.json"))}, "utf8"));
const nats = await startNats({ ...options, log: () => undefined });
console.log(nats.pid());
setInterval(() => undefined, 1000);
`,
    );
    const parent = spawn(process.execPath, [script], {
      stdio: ["ignore", "pipe", "inherit"],
      timeout: 30_000,
    });
    const pid = await new Promise<number>((resolve) => {
      parent.stdout.once("data", (data: Buffer) => {
        resolve(Number(data.toString()));
      });
    });
    expect(existsSync(`/proc/${String(pid)}`)).toBe(true);
    parent.kill("SIGKILL");
    await until("nats-server gone", () => !existsSync(`/proc/${String(pid)}`), 3000);
    // So the next server finds its port free.
    started.push(await startNats({ ...world.options, home, port }));
  });
});

describe("reload", () => {
  it("lets a new agent in with all its channels, cuts a removed one off, and touches no other", async () => {
    const stays = await world.rawAgent("a1");
    const goes = await world.rawAgent("a2");
    let gone = false;
    void goes.closed().then(() => (gone = true));
    const fresh = newUser();
    await expect(world.raw(fresh, subjects.agentInbox("a3"))).rejects.toThrow(/authorization/i);

    const begun = performance.now();
    await world.nats.reload([
      ...everyone().filter(({ host }) => host !== "a2"),
      { host: "a3", nkey: fresh.nkey },
    ]);
    expect(performance.now() - begun).toBeLessThan(2000);

    const connection = await world.raw(fresh, subjects.agentInbox("a3"));
    expect(await eventStored(connection, "a3")).toBeGreaterThan(0);
    await world.bus.ensureConsumer("a3", true);
    await world.bus.publishDocument("a3", "chrony", bytes("welcome"));
    const inbox = `${subjects.agentInbox("a3")}.x`;
    const got: string[] = [];
    const take = (_error: Error | null, { data }: { readonly data: Uint8Array }): void => {
      got.push(textOf(data));
    };
    connection.subscribe(inbox, { callback: take });
    connection.publish("$JS.API.CONSUMER.MSG.NEXT.DOCS.a3", bytes('{"batch":1}'), { reply: inbox });
    await until("the document", () => got.includes("welcome"));
    connection.subscribe(subjects.request("a3"), { callback: take });
    await connection.flush();
    expect(await world.bus.request("a3", bytes("ping"))).toBe("delivered");
    await until("the request", () => got.includes("ping"));

    await until("a2 cut off", () => gone, 2000);
    await expect(world.rawAgent("a2")).rejects.toThrow(/authorization/i);
    expect(stays.isClosed()).toBe(false);
    expect(await eventStored(stays, "a1")).toBeGreaterThan(0);
    await world.nats.reload(everyone());
  });

  it("leaves what runs when the new configuration is a bad one, and takes the next good one", async () => {
    const stays = await world.rawAgent("a1");
    const before = readFileSync(join(world.options.home, "nats.conf"), "utf8");
    const bad = world.nats.reload([...everyone(), { host: "*", nkey: newUser().nkey }]);
    const good = world.nats.reload(everyone());
    await expect(bad).rejects.toThrow("may not be written");
    await expect(good).resolves.toBeUndefined();
    expect(readFileSync(join(world.options.home, "nats.conf"), "utf8")).toBe(before);
    expect(await eventStored(stays, "a1")).toBeGreaterThan(0);
  });

  it("is kept by a nats-server that is killed right after it", async () => {
    const fresh = newUser();
    await world.nats.reload([...everyone(), { host: "a4", nkey: fresh.nkey }]);
    const before = world.nats.pid();
    process.kill(before ?? 0, "SIGKILL");
    await until("another one", () => world.nats.pid() !== null && world.nats.pid() !== before);
    await until("a4 let in", async () => {
      try {
        return (await eventStored(await world.raw(fresh, subjects.agentInbox("a4")), "a4")) > 0;
      } catch (error) {
        if (/refused|timeout|503|no responders/i.test(String(error))) return false;
        throw error;
      }
    });
  });
});
