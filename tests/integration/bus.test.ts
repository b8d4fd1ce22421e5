import { rmSync } from "node:fs";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { openAgentBus } from "@stackctl/agent/bus/nats.ts";
import type { AgentBus } from "@stackctl/agent/bus/bus.ts";
import { streams, subjects } from "@stackctl/protocol";
import { connectBus } from "@stackctl/server/bus/nats.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bytes, makeWorld, textOf, until, type World } from "./world.ts";

let world: World;
const buses: AgentBus[] = [];

/** An agent's channels with what came in on them. */
interface Agent {
  readonly bus: AgentBus;
  readonly documents: string[];
  readonly requests: string[];
  connections: number;
}

/** Opens an agent's channels. `refuseFirst`: it fails to keep that many documents before it keeps any. */
function startAgent(host: string, refuseFirst = 0): Agent {
  const bus = openAgentBus({
    host,
    servers: [world.url],
    ca: world.ca,
    seed: world.agent(host).seed,
    log: () => undefined,
  });
  const agent: Agent = { bus, documents: [], requests: [], connections: 0 };
  let refused = 0;
  bus.onDocument((subject, data) => {
    agent.documents.push(`${subject} ${textOf(data)}`);
    if (refused++ < refuseFirst) throw new Error("no room");
  });
  bus.onRequest((subject, data) => agent.requests.push(`${subject} ${textOf(data)}`));
  bus.onConnected(() => agent.connections++);
  buses.push(bus);
  return agent;
}

/** Kills nats-server the hard way and waits for the next one. */
async function killNats(): Promise<void> {
  const before = world.nats.pid();
  if (before === null) throw new Error("nats-server does not run");
  process.kill(before, "SIGKILL");
  await until("another nats-server", () => world.nats.pid() !== null && world.nats.pid() !== before);
}

const hosts = ["a1", "a10", "later", "refuser", "fresh", "gone", "talker", "answers", "survivor", "wiped"];
/** What the server took in, in order. */
const seen: string[] = [];
/** Refuses to take in an event when it returns true. */
let refuses: (text: string) => boolean = () => false;

beforeAll(async () => {
  world = await makeWorld(hosts);
  await world.bus.onResult((host, data) => {
    const text = `${host} ${textOf(data)}`;
    if (refuses(text)) return Promise.reject(new Error("disk full"));
    seen.push(text);
    return Promise.resolve();
  });
});
afterAll(async () => {
  for (const bus of buses) await bus.close();
  await world.close();
});

describe("documents", () => {
  it("reach their agent and nobody else", async () => {
    const [a1, a10] = [startAgent("a1"), startAgent("a10")];
    await world.bus.publishDocument("a1", "chrony", bytes("one"));
    await world.bus.publishDocument("a10", "chrony", bytes("ten"));
    await until("both documents", () => a1.documents.length > 0 && a10.documents.length > 0);
    expect(a1.documents).toEqual(["doc.a1.chrony one"]);
    expect(a10.documents).toEqual(["doc.a10.chrony ten"]);
  });

  it("wait for an agent that is away, and only the newest of each service", async () => {
    for (const generation of [1, 2, 3, 4, 5])
      for (const service of ["chrony", "host", "reboot"])
        await world.bus.publishDocument("later", service, bytes(String(generation)));
    const agent = startAgent("later");
    await until("three documents", () => agent.documents.length >= 3);
    await world.bus.publishDocument("later", "chrony", bytes("6"));
    await until("the next one", () => agent.documents.includes("doc.later.chrony 6"));
    expect(agent.documents.toSorted()).toEqual(
      ["doc.later.chrony 5", "doc.later.chrony 6", "doc.later.host 5", "doc.later.reboot 5"].toSorted(),
    );
  });

  it("come again when they were not kept, and hold up no other", async () => {
    const agent = startAgent("refuser", 1);
    await world.bus.publishDocument("refuser", "chrony", bytes("x"));
    await until("the first try", () => agent.documents.length === 1);
    await world.bus.publishDocument("refuser", "host", bytes("y"));
    await until("the other service", () => agent.documents.includes("doc.refuser.host y"));
    expect(agent.documents).toHaveLength(2);
    await until("the second try", () => agent.documents.length === 3);
    expect(agent.documents.at(-1)).toBe("doc.refuser.chrony x");
  });

  it("are all delivered again to an agent that was enrolled anew", async () => {
    const agent = startAgent("fresh");
    await world.bus.publishDocument("fresh", "chrony", bytes("x"));
    await world.bus.publishDocument("fresh", "host", bytes("y"));
    await until("both", () => agent.documents.length === 2);
    await world.bus.ensureConsumer("fresh", false);
    await world.bus.ensureConsumer("fresh", true);
    await until("both again", () => agent.documents.length === 4);
    expect(new Set(agent.documents)).toEqual(new Set(["doc.fresh.chrony x", "doc.fresh.host y"]));
  });
});

describe("requests", () => {
  it("are said to be offline when nobody listens, many at once too", async () => {
    await expect(world.bus.request("gone", bytes("?"))).resolves.toBe("offline");
    const many = await Promise.all(
      Array.from({ length: 200 }, (_, i) => world.bus.request("gone", bytes(String(i)))),
    );
    expect(new Set(many)).toEqual(new Set(["offline"]));
  });

  it("reach a connected agent, many at once", async () => {
    const agent = startAgent("answers");
    await until("the agent", async () => (await world.bus.request("answers", bytes("!"))) === "delivered");
    const before = agent.requests.length;
    const sent = await Promise.all(
      Array.from({ length: 200 }, (_, i) => world.bus.request("answers", bytes(String(i)))),
    );
    expect(new Set(sent)).toEqual(new Set(["delivered"]));
    await until("all of them", () => agent.requests.length - before === 200);
  });
});

describe("events", () => {
  it("are handed over in order, each again until it is taken in; heartbeats as they come", async () => {
    const beats: string[] = [];
    let failures = 2;
    refuses = (text) => text === "talker 3" && failures-- > 0;
    world.bus.onStatus((host, data) => beats.push(`${host} ${textOf(data)}`));
    const { bus } = startAgent("talker");
    await until("the first event", () => bus.sendResult(crypto.randomUUID(), bytes("0")));
    const sent = ["0"];
    for (let i = 1; i <= 50; i++) {
      expect(await bus.sendResult(crypto.randomUUID(), bytes(String(i)))).toBe(true);
      sent.push(String(i));
    }
    bus.sendStatus(bytes("beat"));
    await until("all events", () => seen.length >= 51);
    expect(seen).toEqual(sent.map((n) => `talker ${n}`));
    await until("the heartbeat", () => beats.includes("talker beat"));
    expect(failures).toBe(-1);
  });
});

describe("calls of the command line", () => {
  it("are answered always: the answer, an error instead of one too long or empty, an error when it failed", async () => {
    world.bus.onCall((method, data) => {
      if (method === "long") return Promise.resolve(new Uint8Array(600 * 1024));
      if (method === "empty") return Promise.resolve(new Uint8Array());
      if (method === "fail") return Promise.reject(new Error("broken"));
      return Promise.resolve(bytes(`${method} ${textOf(data)}`));
    });
    const operator = await world.rawOperator();
    const call = async (method: string): Promise<string> =>
      textOf((await operator.request(subjects.api(method), bytes("{}"), { timeout: 3000 })).data);
    expect(await call("status")).toBe("status {}");
    for (const [method, why] of [
      ["long", "the answer of long has 614400 bytes"],
      ["empty", "the answer of empty has 0 bytes"],
      ["fail", "broken"],
    ] as const)
      expect(JSON.parse(await call(method))).toMatchObject({
        ok: false,
        error: { code: "bug", message: expect.stringContaining(why) as unknown },
      });
    expect(await call("status")).toBe("status {}");
  });
});

describe("a store of an earlier version", () => {
  it("is mended in place, with what it holds", async () => {
    const manager = await jetstreamManager(await world.rawServer());
    await world.bus.publishDocument("later", "chrony", bytes("kept"));
    await manager.streams.update(streams.events, { max_msgs_per_subject: 10, duplicate_window: 120e9 });
    await manager.consumers.update(streams.events, "server", { ack_wait: 30e9 });
    await manager.consumers.update(streams.documents, "later", { max_ack_pending: 1 });
    const other = await connectBus({ url: world.url, ca: world.ca, seed: world.server.seed });
    await other.ensureConsumer("later", false);
    await other.close();
    const { config } = await manager.streams.info(streams.events);
    expect(config).toMatchObject({
      max_msgs_per_subject: 5000,
      duplicate_window: 0.1e9,
      max_age: 7 * 86_400e9,
    });
    expect((await manager.consumers.info(streams.events, "server")).config.ack_wait).toBe(3e9);
    expect((await manager.consumers.info(streams.documents, "later")).config.max_ack_pending).toBe(64);
    const kept = await manager.streams.getMessage(streams.documents, { last_by_subj: "doc.later.chrony" });
    expect(textOf(kept?.data ?? bytes(""))).toBe("kept");
  });
});

describe("when nats-server is killed", () => {
  it("documents and events of meanwhile arrive, and everybody is back within seconds", async () => {
    const agent = startAgent("survivor");
    await world.bus.publishDocument("survivor", "chrony", bytes("before"));
    await until("the document before", () => agent.documents.includes("doc.survivor.chrony before"));
    for (const round of ["first", "second"]) {
      await killNats();
      await world.bus.publishDocument("survivor", "chrony", bytes(round));
      await until("the document", () => agent.documents.includes(`doc.survivor.chrony ${round}`));
      await until("the event", () => agent.bus.sendResult(crypto.randomUUID(), bytes(round)));
      await until("it taken in", () => seen.includes(`survivor ${round}`));
      await until(
        "requests",
        async () => (await world.bus.request("survivor", bytes(round))) === "delivered",
      );
    }
    expect(agent.documents).toEqual(
      ["before", "first", "second"].map((text) => `doc.survivor.chrony ${text}`),
    );
  });

  it("and its store is gone, streams and consumers are made again and everything flows", async () => {
    const agent = startAgent("wiped");
    await world.bus.publishDocument("wiped", "chrony", bytes("before"));
    await until("the document before", () => agent.documents.length === 1);
    rmSync(join(world.options.home, "jetstream"), { recursive: true });
    await killNats();
    await world.bus.publishDocument("wiped", "chrony", bytes("after"));
    await until("the document after", () => agent.documents.includes("doc.wiped.chrony after"));
    await until("the event", () => agent.bus.sendResult(crypto.randomUUID(), bytes("after")));
    await until("it taken in", () => seen.includes("wiped after"));
    const manager = await jetstreamManager(await world.rawServer());
    const made = await manager.consumers.list(streams.documents).next();
    expect(made.map(({ name }) => name).toSorted()).toEqual(hosts.toSorted());
  });
});
