import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import { headers, type Msg, type NatsConnection } from "@nats-io/transport-node";
import { maxMessageBytes, streams, subjects } from "@stackctl/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bytes, makeWorld, newUser, textOf, until, type World } from "./world.ts";

/** a1 is hostile and has its whole key; a2 is its peer. */
let world: World;
let attacker: NatsConnection;
let peer: NatsConnection;
let tap: NatsConnection;
let manager: JetStreamManager;
/** Everything that a2 and the command line heard, and what the server's account saw of others' subjects. */
const heard: string[] = [];

beforeAll(async () => {
  world = await makeWorld(["a1", "a2", "a10"]);
  attacker = await world.rawAgent("a1");
  peer = await world.rawAgent("a2");
  tap = await world.rawServer();
  manager = await jetstreamManager(tap);
  const operator = await world.rawOperator();
  const hear = (who: string, connection: NatsConnection, subject: string): void => {
    connection.subscribe(subject, {
      callback: (_error, message) => {
        heard.push(`${who} ${message.subject} ${textOf(message.data)}`);
      },
    });
  };
  hear("peer", peer, subjects.request("a2"));
  hear("peer", peer, `${subjects.agentInbox("a2")}.>`);
  hear("operator", operator, `${subjects.operatorInbox}.>`);
  // What the server itself says all the time is not among these.
  const targeted = [
    "req.a10",
    "api.>",
    "doc.a2.>",
    "log.>",
    "evt.a2.>",
    "_INBOX.server.zz",
    "_INBOX.a2.>",
    "$SYS.>",
  ];
  for (const subject of targeted) hear("server's account", tap, subject);
  await Promise.all([peer.flush(), operator.flush(), tap.flush()]);
});
afterAll(async () => {
  await world.close();
});

/** What of the peer and of the streams no attack may change, to the byte. */
async function state(): Promise<unknown> {
  const info = await manager.consumers.info(streams.documents, "a2");
  const events = await manager.streams.info(streams.events, { subjects_filter: "evt.a2.>" });
  const messages = await manager.streams.info(streams.documents, { subjects_filter: ">" });
  const document = await manager.streams.getMessage(streams.documents, {
    last_by_subj: subjects.document("a2", "chrony"),
  });
  return {
    document: document === null ? null : [document.seq, textOf(document.data)],
    foreignDocuments: Object.keys(messages.state.subjects ?? {})
      .filter((subject) => !subject.startsWith("doc.a1."))
      .toSorted(),
    consumer: [info.delivered, info.ack_floor, info.num_pending, info.num_ack_pending, info.created],
    events: events.state.subjects,
    streams: [messages.config, events.config],
  };
}

/** Everything that was on its way has arrived when these have. */
async function settled(): Promise<void> {
  await attacker.flush();
  const marker = crypto.randomUUID();
  expect(await world.bus.request("a2", bytes(marker))).toBe("delivered");
  await until("the marker", () => heard.some((line) => line.endsWith(marker)));
  await tap.flush();
  for (let i = heard.length - 1; i >= 0; i--) if (heard[i]?.endsWith(marker) === true) heard.splice(i, 1);
}

/** Where a1 would like an answer to land. */
const targets = [
  ...["req.a2", "req.a10", "req.*", "_INBOX.a2.zz", "_INBOX.a10.zz", "_INBOX.op.zz", "_INBOX.server.zz"],
  ...[
    "doc.a2.chrony",
    "doc.a2.x",
    "evt.a2.result",
    "evt.a2.status",
    "log.a2.line",
    "api.status",
    "api.apply",
  ],
  ...["$JS.API.STREAM.PURGE.DOCS", "$JS.API.STREAM.DELETE.EVT", "$JS.API.CONSUMER.MSG.NEXT.DOCS.a2"],
  ...[
    "$JS.API.CONSUMER.DELETE.DOCS.a2",
    "$JS.ACK.DOCS.a2.1.1.1.1.0",
    "$SYS.REQ.SERVER.PING",
    "$JS.FC.x",
    "_R_.x",
  ],
];

const next = "$JS.API.CONSUMER.MSG.NEXT.DOCS.a1";

/** Nothing that a1 asked for before is still waiting for a document. */
async function nothingAsked(): Promise<void> {
  const waiting = async (): Promise<number> =>
    (await manager.consumers.info(streams.documents, "a1")).num_waiting;
  await until("no pull of a1 waits", async () => (await waiting()) === 0);
}

/** The subject that acknowledges a document which a1 was just given. */
async function givenDocument(): Promise<string> {
  await nothingAsked();
  await world.bus.publishDocument("a1", "given", bytes(crypto.randomUUID()));
  const inbox = `${subjects.agentInbox("a1")}.${crypto.randomUUID()}`;
  const given = Promise.withResolvers<string>();
  attacker.subscribe(inbox, {
    max: 1,
    callback: (_error, message) => {
      given.resolve(message.reply ?? "");
    },
  });
  attacker.publish(next, bytes('{"batch":1,"expires":3000000000}'), { reply: inbox });
  const reply = await given.promise;
  expect(reply).toMatch(/^\$JS\.ACK\.DOCS\.a1\./);
  return reply;
}

/** What a1 may send that is answered; each makes sure that there is something to answer with. */
const bases: readonly { name: string; prepare: () => Promise<{ subject: string; data: string }> }[] = [
  { name: "an event", prepare: () => Promise.resolve({ subject: "evt.a1.result", data: "x" }) },
  { name: "a heartbeat", prepare: () => Promise.resolve({ subject: "evt.a1.status", data: "x" }) },
  {
    name: "a pull with a document to come",
    prepare: async () => {
      await world.bus.publishDocument("a1", "pending", bytes(crypto.randomUUID()));
      return { subject: next, data: '{"batch":1,"no_wait":true}' };
    },
  },
  {
    name: "a pull of nothing, with heartbeats",
    prepare: async () => {
      await nothingAsked();
      return { subject: next, data: '{"batch":1,"expires":100000000,"idle_heartbeat":40000000}' };
    },
  },
  {
    name: "a pull that is no JSON",
    prepare: () => Promise.resolve({ subject: next, data: '{"batch":"doc.a2.x"' }),
  },
  { name: "an acknowledgement", prepare: async () => ({ subject: await givenDocument(), data: "+ACK" }) },
  {
    name: "an acknowledgement that asks for the next",
    prepare: async () => {
      const subject = await givenDocument();
      await world.bus.publishDocument("a1", "pending", bytes(crypto.randomUUID()));
      return { subject, data: '+NXT {"batch":1,"no_wait":true}' };
    },
  },
];

describe("an answer led to somebody else", () => {
  it.each(bases.filter(({ name }) => name !== "a heartbeat"))(
    "does come to oneself: $name",
    async ({ prepare }) => {
      const inbox = `${subjects.agentInbox("a1")}.${crypto.randomUUID()}`;
      const answers: Msg[] = [];
      attacker.subscribe(inbox, {
        callback: (_error, message) => {
          answers.push(message);
        },
      });
      const { subject, data } = await prepare();
      attacker.publish(subject, bytes(data), { reply: inbox });
      await until("the answer", () => answers.length > 0, 3000);
    },
  );

  it.each(bases)("lands with nobody and changes nothing: $name", async ({ prepare }) => {
    await world.bus.publishDocument("a2", "chrony", bytes("of a2"));
    await settled();
    heard.splice(0);
    const before = await state();
    for (const reply of targets) {
      const { subject, data } = await prepare();
      attacker.publish(subject, bytes(data), { reply });
    }
    await settled();
    // The longest that a pull of these waits before it is answered.
    await new Promise((resolve) => setTimeout(resolve, 300));
    await settled();
    expect(heard).toEqual([]);
    expect(await state()).toEqual(before);
    expect(attacker.isClosed()).toBe(false);
  });

  it("tries at least 140 combinations", () => {
    expect(bases.length * targets.length).toBeGreaterThanOrEqual(140);
  });
});

describe("a hostile agent with its own key", () => {
  /** Sends an event with these headers. @returns JetStream's answer, or "refused" */
  async function event(from: NatsConnection, host: string, marks: Record<string, string>): Promise<unknown> {
    const all = headers();
    for (const [name, value] of Object.entries(marks)) all.set(name, value);
    const { data } = await from.request(subjects.result(host), bytes(host), { headers: all, timeout: 2000 });
    return JSON.parse(textOf(data));
  }

  it.each(["sub", "all"])("does not roll up the stream (%s)", async (kind) => {
    await event(peer, "a2", {});
    const before = await manager.streams.info(streams.events);
    expect(await event(attacker, "a1", { "Nats-Rollup": kind })).toMatchObject({
      error: { description: expect.stringContaining("rollup") as unknown },
    });
    expect((await manager.streams.info(streams.events)).state).toEqual(before.state);
  });

  it.each<Record<string, string>>([
    { "Nats-TTL": "1s" },
    { "Nats-Schedule": "@every 1s", "Nats-Schedule-Target": "evt.a2.result" },
    { "Nats-Incr": "1" },
    { "Nats-Batch-Id": "b", "Nats-Batch-Sequence": "1", "Nats-Batch-Commit": "1" },
    { "Nats-Trace-Dest": "req.a2" },
  ])("does nothing to others by the headers %j", async (marks) => {
    await settled();
    heard.splice(0);
    const before = await state();
    await event(attacker, "a1", marks).catch(() => "refused");
    await settled();
    expect(heard).toEqual([]);
    expect(await state()).toEqual(before);
  });

  it("does not use up another's id before it: what it sent first does not swallow the event", async () => {
    const id = crypto.randomUUID();
    expect(await event(attacker, "a1", { "Nats-Msg-Id": id })).toMatchObject({ stream: streams.events });
    await new Promise((resolve) => setTimeout(resolve, 250));
    const stored = await event(peer, "a2", { "Nats-Msg-Id": id });
    expect(stored).toMatchObject({ stream: streams.events });
    expect(stored).not.toHaveProperty("duplicate");
  });

  it("does not acknowledge, pull or get what is the peer's", async () => {
    await world.bus.publishDocument("a2", "host", bytes("of a2"));
    const got: Msg[] = [];
    peer.subscribe("_INBOX.a2.pull", {
      callback: (_error, message) => {
        got.push(message);
      },
    });
    peer.publish("$JS.API.CONSUMER.MSG.NEXT.DOCS.a2", bytes('{"batch":1,"expires":2000000000}'), {
      reply: "_INBOX.a2.pull",
    });
    await until("a2 has its document", () =>
      got.some(({ reply }) => reply?.startsWith("$JS.ACK.DOCS.a2.") === true),
    );
    await settled();
    heard.splice(0);
    const before = await state();
    attacker.publish(got[0]?.reply ?? "", bytes("+ACK"));
    attacker.publish(got[0]?.reply ?? "", bytes("+TERM"));
    const own: string[] = [];
    attacker.subscribe("_INBOX.a1.spy", {
      callback: (_error, { data }) => {
        own.push(textOf(data));
      },
    });
    for (const subject of [
      "$JS.API.CONSUMER.MSG.NEXT.DOCS.a2",
      "$JS.API.STREAM.MSG.GET.DOCS",
      "$JS.API.DIRECT.GET.DOCS.doc.a2.host",
      "$JS.API.CONSUMER.CREATE.DOCS.spy.doc.a2.host",
      "$JS.API.CONSUMER.RESET.DOCS.a2",
    ])
      attacker.publish(subject, bytes('{"batch":1,"last_by_subj":"doc.a2.host"}'), {
        reply: "_INBOX.a1.spy",
      });
    await settled();
    expect(own).toEqual([]);
    expect(heard).toEqual([]);
    expect(await state()).toEqual(before);
    peer.publish(got[0]?.reply ?? "", bytes("+ACK"));
    const waiting = async (): Promise<number> =>
      (await manager.consumers.info(streams.documents, "a2")).num_ack_pending;
    await until("a2's own acknowledgement counts", async () => (await waiting()) === 0);
  });

  it("hears nothing of what is said to and by its peer", async () => {
    const spied: string[] = [];
    for (const subject of [
      ">",
      "*",
      "req.*",
      "req.a2",
      "_INBOX.>",
      "_INBOX.a2.>",
      "doc.>",
      "evt.>",
      "_R_.>",
      "$JS.>",
    ])
      attacker.subscribe(subject, {
        callback: (error, message) => {
          if (error === null) spied.push(message.subject);
        },
      });
    await attacker.flush();
    await world.bus.publishDocument("a2", "reboot", bytes("secret"));
    await world.bus.request("a2", bytes("secret"));
    await event(peer, "a2", {});
    await settled();
    await attacker.flush();
    expect(spied).toEqual([]);
  });

  it("does not use up the connections of others", async () => {
    const results = await Promise.allSettled(Array.from({ length: 12 }, () => world.rawAgent("a10")));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(8);
    await expect(world.rawAgent("a2")).resolves.toBeDefined();
  });

  it("does not send more than a message's length at once", async () => {
    const loud = await world.rawAgent("a1");
    // nats-server tells the limit of the account right after it let somebody in.
    await until("the limit", () => loud.info?.max_payload === maxMessageBytes + 1024, 3000);
    expect(() => {
      loud.publish("evt.a1.result", new Uint8Array(maxMessageBytes + 2048));
    }).toThrow(/payload/i);
  });

  it("may try a reserved subject as reply; it is refused and in nats-server's log", async () => {
    const before = world.log().length;
    attacker.publish("evt.a1.result", bytes("x"), { reply: "$JS.ACK.DOCS.a2.1.1.1.1.0" });
    await until("the line", () => /Violation.*\$JS\.ACK\.DOCS\.a2/.test(world.log().slice(before)));
  });
});

describe("who was let out", () => {
  it("is cut off within 2 seconds and not let in again, and nothing of others ends", async () => {
    const user = newUser();
    const all = world.options.agents;
    await world.nats.reload([...all, { host: "a3", nkey: user.nkey }]);
    const revoked = await world.raw(user, subjects.agentInbox("a3"));
    let gone = false;
    void revoked.closed().then(() => (gone = true));
    const begun = performance.now();
    await world.nats.reload(all);
    await until("cut off", () => gone, 2000);
    expect(performance.now() - begun).toBeLessThan(2000);
    await expect(world.raw(user, subjects.agentInbox("a3"))).rejects.toThrow(/authorization/i);
    expect(attacker.isClosed() || peer.isClosed()).toBe(false);
  });
});
