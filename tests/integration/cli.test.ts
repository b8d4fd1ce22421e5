import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectApi, type ApiClient } from "@stackctl/cli/bus/nats.ts";
import { renderError } from "@stackctl/cli/output/errors.ts";
import { readServerFile, serverBundle, stopServer } from "@stackctl/cli/server-process.ts";
import { Session } from "@stackctl/cli/session.ts";
import { configView, errorData, StackctlError, version, type ServerFile } from "@stackctl/protocol";
import { initAnswers, renderInit } from "@stackctl/server/config/init.ts";
import { makeAuthority } from "@stackctl/server/trust/pki.ts";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { stackIn, succeed } from "../stack.ts";
import { bytes, freePort, makeWorld, textOf, type World } from "./world.ts";

describe("a call of the command line, over a real nats-server", () => {
  let world: World;
  let client: ApiClient;
  /** What the server answers next; it gets the call's name and request. */
  let answer: (method: string, request: unknown) => unknown;
  const file = (more: Partial<ServerFile> = {}): ServerFile => ({
    pid: process.pid,
    version,
    build: "b",
    url: world.url,
    ca: world.ca,
    operatorSeed: world.operator.seed,
    ...more,
  });

  beforeAll(async () => {
    world = await makeWorld(["compute1"]);
    world.bus.onCall(async (method, data) =>
      bytes(JSON.stringify(await answer(method, JSON.parse(textOf(data))))),
    );
    client = await connectApi(file());
  });
  afterAll(async () => {
    await client.close();
    await world.close();
  });

  it("brings the request to the server and its answer back", async () => {
    let asked: unknown;
    answer = (method, request) => {
      asked = [method, request];
      return { ok: true, result: { forgotten: "SHA256:a" } };
    };
    await expect(client.call("host-forget-key", { host: "compute1" })).resolves.toEqual({
      forgotten: "SHA256:a",
    });
    expect(asked).toEqual(["host-forget-key", { host: "compute1" }]);
  });

  it("throws what the server throws, with what to type", async () => {
    answer = () => ({
      ok: false,
      error: errorData(
        new StackctlError("host_unknown", "compute9: not in the file", { details: { remedy: "add it" } }),
      ),
    });
    await expect(client.call("status", {})).rejects.toMatchObject({
      code: "host_unknown",
      message: "compute9: not in the file",
      details: { remedy: "add it" },
    });
  });

  it("takes an answer that is not of its form for a bug", async () => {
    answer = () => ({ ok: true, result: { forgotten: 7 } });
    const error: unknown = await client
      .call("host-forget-key", { host: "compute1" })
      .catch((e: unknown) => e);
    expect(renderError(error).exitCode).toBe(70);
  });

  it("ends in time when nothing answers", async () => {
    answer = () => new Promise(() => undefined);
    await expect(client.call("status", {}, 300)).rejects.toMatchObject({ code: "server_unreachable" });
  });

  it("is refused by, and refuses, whoever is not ours", async () => {
    const { caCert } = await makeAuthority();
    await expect(connectApi(file({ ca: caCert }))).rejects.toMatchObject({ code: "server_unreachable" });
    const stranger = world.agent("compute1").seed;
    const intruder = await connectApi(file({ operatorSeed: stranger }));
    await expect(intruder.call("status", {}, 1000)).rejects.toMatchObject({ code: "server_unreachable" });
    await intruder.close();
  });
});

describe("a session with the real server", () => {
  const folder = mkdtempSync(join(tmpdir(), "stackctl-cli-"));
  const place = { cloudFile: join(folder, "cloud.yaml"), home: join(folder, ".stackctl") };
  let said: string[] = [];
  const session = new Session(place, (text) => said.push(text));
  const pid = (): number => readServerFile(place)?.pid ?? 0;

  beforeAll(async () => {
    const key = join(folder, "key");
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
    const text = renderInit(
      initAnswers.parse({
        // Hosts of loopback: nobody listens there, and nothing leaves this machine.
        management: { cidr: "127.0.10.0/24" },
        ssh: { privateKey: key },
        server: { address: "127.0.0.1", port: await freePort() },
      }),
    );
    writeFileSync(place.cloudFile, text);
  });
  afterEach(() => {
    said = [];
  });
  afterAll(async () => {
    await session.close();
    const running = readServerFile(place);
    if (running !== null) expect(await stopServer(await connectApi(running), running.pid)).toBe(true);
    rmSync(folder, { recursive: true });
  });

  it("starts it when none runs, and says so", async () => {
    const status = await session.call("status", {}, null);
    expect(status.hosts.map(({ state }) => state)).toEqual(Array.from({ length: 5 }, () => "new"));
    expect(said).toEqual([`server started (pid ${String(pid())})`]);
  });

  it("shows what a host would be told before there is any, and changes nothing by it", async () => {
    const { services } = await session.call("render", { host: "compute1", service: null }, null);
    expect(services.map(({ service }) => service)).toEqual(["host", "chrony", "docker"]);
    expect(services[1]?.resources[0]?.values[0]).toEqual({
      field: "servers",
      value: ["127.0.10.11", "127.0.10.12", "127.0.10.13"],
      origins: ["cloud.yaml:16", "cloud.yaml:17", "cloud.yaml:18"],
    });
    expect(await session.call("runs", { limit: 20 }, null)).toEqual({ runs: [] });
    await expect(session.call("render", { host: "compute9", service: null }, null)).rejects.toMatchObject({
      code: "host_unknown",
    });
  });

  it("goes on over a server that was killed: one more sentence, one more pid, the same answer", async () => {
    const before = pid();
    const status = await session.call("status", {}, null);
    process.kill(before, "SIGKILL");
    expect((await session.call("status", {}, null)).hosts).toEqual(status.hosts);
    expect(pid()).not.toBe(before);
    expect(said.at(-1)).toBe(`server started (pid ${String(pid())})`);
  });

  it("goes on over a kill while it waits for an answer", async () => {
    const { events, next } = await session.call("events", { after: null, limit: 500, waitMs: 0 }, null);
    const waiting = session.call("events", { after: next, limit: 500, waitMs: 3000 }, null, 8000);
    process.kill(pid(), "SIGKILL");
    expect((await waiting).events.every(({ n }) => n > (events.at(-1)?.n ?? 0))).toBe(true);
    expect(said).toContainEqual(expect.stringMatching(/^server started/));
  });

  it("starts it anew when it is of another build", async () => {
    const before = pid();
    const serverJson = join(place.home, "server.json");
    const text = readFileSync(serverJson, "utf8");
    writeFileSync(serverJson, JSON.stringify({ ...(JSON.parse(text) as ServerFile), build: "older" }));
    await session.close();
    await session.call("status", {}, null);
    expect(said[0]).toBe("the server is of another build and is started anew");
    expect(pid()).not.toBe(before);
  });

  it("is ended by a signal when it cannot be asked", async () => {
    const before = pid();
    await session.close();
    expect(await stopServer(null, before)).toBe(true);
    expect(readServerFile(place)).toBeNull();
  });

  it("tells the file and completes its names without a server, and starts none for it", async () => {
    const stack = stackIn(folder, place.home);
    const config = configView.parse(
      JSON.parse((await succeed(stack.run(["config", "show", "--json"]))).stdout),
    );
    expect(config.values).toContainEqual({ key: "absentAfter", value: "5m", origin: "default" });
    const words = ["complete", "--", "--cloud", place.cloudFile, "why", "chrony/chrony@comp"];
    const { stdout } = await succeed(stack.run(words));
    expect(stdout).toBe("chrony/chrony@compute1\t\nchrony/chrony@compute2\t\n");
    // Somebody is in the middle of editing the file: its names are those of before.
    const text = readFileSync(place.cloudFile, "utf8");
    writeFileSync(place.cloudFile, `${text}hosts: {`);
    expect((await succeed(stack.run(words))).stdout).toBe(stdout);
    writeFileSync(place.cloudFile, text);
    expect(readServerFile(place)).toBeNull();
  });

  it("needs the server that npm run build makes", () => {
    expect(readFileSync(serverBundle).length).toBeGreaterThan(0);
  });
});
