import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import type { NatsConnection } from "@nats-io/transport-node";
import { natsTlsName } from "@stackctl/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bytes, makeWorld, until, type User, type World } from "./world.ts";

/**
 * Who may do what, each cell tried on a real nats-server. A letter for each who may: `1` the agent a1, `2` the agent
 * a2 (its peer), `o` the command line. Who has no key may nothing at all.
 */
const publish: Readonly<Record<string, string>> = {
  "evt.a1.result": "1",
  "evt.a1.status": "1",
  "evt.a2.result": "2",
  "evt.a2.status": "2",
  "$JS.API.CONSUMER.MSG.NEXT.DOCS.a1": "1",
  "$JS.API.CONSUMER.MSG.NEXT.DOCS.a2": "2",
  "$JS.ACK.DOCS.a1.1.1.1.1.0": "1",
  "$JS.ACK.DOCS.a2.1.1.1.1.0": "2",
  "api.status": "o",
  "api.apply": "o",
  "api.status.x": "",
  "evt.a1": "",
  "evt.a1.other": "",
  "evt.a1.result.x": "",
  "evt.a10.result": "",
  "log.a1.line": "1",
  "log.a2.line": "2",
  "log.a1": "",
  "log.a1.other": "",
  "doc.a1.chrony": "",
  "doc.a2.chrony": "",
  "req.a1": "",
  "req.a2": "",
  "$JS.API.CONSUMER.MSG.NEXT.EVT.server": "",
  "$JS.ACK.EVT.server.1.1.1.1.0": "",
  "$JS.API.INFO": "",
  "$JS.API.STREAM.NAMES": "",
  "$JS.API.STREAM.INFO.DOCS": "",
  "$JS.API.STREAM.UPDATE.DOCS": "",
  "$JS.API.STREAM.PURGE.DOCS": "",
  "$JS.API.STREAM.DELETE.EVT": "",
  "$JS.API.STREAM.MSG.GET.DOCS": "",
  "$JS.API.STREAM.MSG.DELETE.EVT": "",
  "$JS.API.DIRECT.GET.DOCS.doc.a2.chrony": "",
  "$JS.API.CONSUMER.CREATE.DOCS.x.doc.a2.chrony": "",
  "$JS.API.CONSUMER.CREATE.DOCS.a1": "",
  "$JS.API.CONSUMER.DURABLE.CREATE.DOCS.a1": "",
  "$JS.API.CONSUMER.INFO.DOCS.a1": "",
  "$JS.API.CONSUMER.RESET.DOCS.a2": "",
  "$JS.API.CONSUMER.DELETE.DOCS.a2": "",
  "$JS.FC.DOCS.a2.x": "",
  "_INBOX.a1.x": "",
  "_INBOX.a2.x": "",
  "_INBOX.op.x": "",
  "_INBOX.server.x": "",
  "_R_.x": "",
  "$SYS.REQ.SERVER.PING": "",
  "$SYS.REQ.ACCOUNT.CTRL.CONNZ": "",
  anything: "",
};
const subscribe: Readonly<Record<string, string>> = {
  "req.a1": "1",
  "req.a2": "2",
  "_INBOX.a1.x": "1",
  "_INBOX.a1.>": "1",
  "_INBOX.a2.>": "2",
  "_INBOX.op.>": "o",
  "_INBOX.a10.>": "",
  "_INBOX.server.>": "",
  "_INBOX.>": "",
  "_INBOX.*": "",
  "_INBOX.*.>": "",
  "req.*": "",
  "req.>": "",
  "req.a1.>": "",
  "req.a10": "",
  "*.a2": "",
  "*": "",
  ">": "",
  "doc.a1.*": "",
  "doc.>": "",
  "evt.a1.*": "",
  "evt.>": "",
  "log.a1.line": "",
  "log.>": "",
  "api.*": "",
  "_R_.>": "",
  "$JS.>": "",
  "$JS.ACK.>": "",
  "$SYS.>": "",
};

let world: World;
beforeAll(async () => {
  world = await makeWorld(["a1", "a2", "a10"]);
});
afterAll(async () => {
  await world.close();
});

const identities: readonly {
  name: string;
  letter: string;
  user: () => User;
  open: () => Promise<NatsConnection>;
}[] = [
  { name: "agent a1", letter: "1", user: () => world.agent("a1"), open: () => world.rawAgent("a1") },
  { name: "its peer a2", letter: "2", user: () => world.agent("a2"), open: () => world.rawAgent("a2") },
  { name: "the command line", letter: "o", user: () => world.operator, open: () => world.rawOperator() },
];

function allowed(table: Readonly<Record<string, string>>, letter: string): string[] {
  return Object.keys(table).filter((subject) => table[subject]?.includes(letter) === true);
}

it("is a matrix of some size", () => {
  const rows = Object.keys(publish).length + Object.keys(subscribe).length;
  expect(rows * (identities.length + 1)).toBeGreaterThan(250);
});

describe.each(identities)("$name", ({ letter, user, open }) => {
  it("may publish and subscribe exactly what it needs, and every refusal is in nats-server's log", async () => {
    const connection = await open();
    const denied = { publish: new Set<string>(), subscription: new Set<string>() };
    void (async () => {
      for await (const status of connection.status()) {
        if (status.type !== "error" || !("operation" in status.error)) continue;
        const { operation, subject } = status.error as unknown as {
          operation: "publish" | "subscription";
          subject: string;
        };
        denied[operation].add(subject);
      }
    })();
    for (const subject of Object.keys(publish)) connection.publish(subject, bytes("x"));
    for (const subject of Object.keys(subscribe))
      connection.subscribe(subject, { callback: () => undefined });
    // nats-server answers in order: after this every refusal has come, though the client may not have told it yet.
    await connection.flush();
    const refusals =
      Object.keys(publish).length -
      allowed(publish, letter).length +
      Object.keys(subscribe).length -
      allowed(subscribe, letter).length;
    await until("the refusals", () => denied.publish.size + denied.subscription.size >= refusals, 2000).catch(
      () => undefined,
    );
    expect(Object.keys(publish).filter((subject) => !denied.publish.has(subject))).toEqual(
      allowed(publish, letter),
    );
    expect(Object.keys(subscribe).filter((subject) => !denied.subscription.has(subject))).toEqual(
      allowed(subscribe, letter),
    );

    const inLog = (kind: string, subject: string): boolean =>
      world
        .log()
        .split("\n")
        .some(
          (line) =>
            line.includes(`${kind} Violation`) && line.includes(user().nkey) && line.includes(`"${subject}"`),
        );
    const missing = (): string[] => [
      ...[...denied.publish].filter((subject) => !inLog("Publish", subject)),
      ...[...denied.subscription].filter((subject) => !inLog("Subscription", subject)),
    ];
    await until("every refusal in the log", () => missing().length === 0, 3000).catch(() => undefined);
    expect(missing()).toEqual([]);
  });
});

describe("who has no key", () => {
  it("may nothing at all: the connection ends and nothing was published", async () => {
    const tap = await world.rawServer();
    const heard: string[] = [];
    tap.subscribe(">", { callback: (_error, { subject }) => void heard.push(subject) });
    await tap.flush();
    const commands = [
      ...Object.keys(publish).map((subject) => `PUB ${subject} 1\r\nx\r\n`),
      ...Object.keys(subscribe).map((subject) => `SUB ${subject} 1\r\n`),
    ];
    const answers = new Set<string>();
    for (const command of commands) answers.add(await unauthorised(command));
    expect([...answers]).toEqual(["-ERR 'Authorization Violation'"]);
    tap.publish("marker", bytes("x"));
    await until("the marker", () => heard.includes("marker"));
    expect(heard.filter((subject) => subject !== "marker")).toEqual([]);
  });
});

/** Says a command over TLS without having said who one is. @returns what came back until the connection ended */
function unauthorised(command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host: "127.0.0.1", port: world.options.port });
    socket.once("error", reject);
    socket.once("data", () => {
      const secured = connectTls({ socket, ca: world.ca, servername: natsTlsName }, () => {
        secured.write(`CONNECT {"verbose":false,"tls_required":true}\r\n${command}PING\r\n`);
      });
      let said = "";
      secured.setEncoding("utf8").on("data", (text: string) => (said += text));
      secured.once("error", reject);
      secured.once("close", () => {
        // Over TLS nats-server greets once more.
        resolve(said.replace(/^INFO .*\r\n/, "").trim());
      });
    });
  });
}
