import { createUser } from "@nats-io/nkeys";
import { describe, expect, it } from "vitest";
import { renderNatsConfig, type NatsSettings } from "./config.ts";

const nkey = (): string => createUser().getPublicKey();
const settings: NatsSettings = {
  address: "127.0.0.1",
  port: 4222,
  storeDir: "/srv/home/nats/jetstream",
  certFile: "/srv/home/nats/nats.pem",
  keyFile: "/srv/home/nats/nats.key",
  logFile: "/srv/home/nats/nats.log",
  serverNkey: nkey(),
  operatorNkey: nkey(),
  agents: [{ host: "controller1", nkey: nkey() }],
};

/** What would open more than itself, break out of its place, or be taken for somebody else. */
const hostileNames = [
  ...["*", ">", "a.b", "a.*", "a.>", ".", "..", "../a", "a/b", "/etc/passwd", "$SYS", "_INBOX", "$JS.API"],
  ...["", " ", "a b", " a", "a ", "a\tb", "a\nb", "a\n", "\n", "a\0", "a\r"],
  ...[
    'a"b',
    "a'b",
    "a{",
    "a}",
    "a] }",
    "a#b",
    "a$b",
    "a\\",
    "a`b",
    "${a}",
    "{{name()}}",
    "a,b",
    "a:b",
    "a=b",
  ],
  ...["A", "Controller1", "-a", "a-", "a_b", "a".repeat(33), "a".repeat(64), "é", "\u0430", "ｃ1", "a\u200b"],
];

describe("renderNatsConfig", () => {
  it.each(hostileNames.map((name) => [JSON.stringify(name), name]))("refuses the name %s", (_shown, host) => {
    expect(() => renderNatsConfig({ ...settings, agents: [{ host, nkey: nkey() }] })).toThrow(
      "may not be written into permissions",
    );
  });

  it("has at least 40 of them", () => {
    expect(new Set(hostileNames).size).toBeGreaterThanOrEqual(40);
  });

  it.each(["a", "a1", "controller-10", "0", "a".repeat(32)])("takes the name %s", (host) => {
    const config = renderNatsConfig({ ...settings, agents: [{ host, nkey: nkey() }] });
    expect(config).toContain(`"AG_${host}" {`);
    expect(config).toContain(`"$JS.API.CONSUMER.MSG.NEXT.DOCS.${host}"`);
  });

  it.each([
    ["", "no key"],
    ["SUAAAA", "a seed"],
    [`U${"A".repeat(55)}", permissions: {} } #`, "more than a key"],
    ["U*", "a wildcard"],
    [`U${"a".repeat(55)}`, "lower case"],
  ])("refuses the key %j: %s", (bad) => {
    expect(() => renderNatsConfig({ ...settings, agents: [{ host: "a", nkey: bad }] })).toThrow(
      "NATS user key",
    );
    expect(() => renderNatsConfig({ ...settings, serverNkey: bad })).toThrow("NATS user key");
    expect(() => renderNatsConfig({ ...settings, operatorNkey: bad })).toThrow("NATS user key");
  });

  it("refuses one name or one key for two", () => {
    const key = nkey();
    const twice =
      (...agents: NatsSettings["agents"]): (() => string) =>
      () =>
        renderNatsConfig({ ...settings, agents });
    expect(twice({ host: "a", nkey: nkey() }, { host: "a", nkey: nkey() })).toThrow("same name");
    expect(twice({ host: "a", nkey: key }, { host: "b", nkey: key })).toThrow("same key");
    expect(twice({ host: "a", nkey: settings.serverNkey })).toThrow("same key");
    expect(twice({ host: "a", nkey: settings.operatorNkey })).toThrow("same key");
  });

  it.each(["127.0.0.1\nhttp: 8222", "localhost", '1.2.3.4"', ""])("refuses the address %j", (address) => {
    expect(() => renderNatsConfig({ ...settings, address })).toThrow("is no address");
  });

  it.each([0, -1, 65536, 1.5, Number.NaN])("refuses the port %d", (port) => {
    expect(() => renderNatsConfig({ ...settings, port })).toThrow("is no port");
  });

  it("exports nothing to everybody, with and without agents", () => {
    for (const agents of [settings.agents, []]) {
      const config = renderNatsConfig({ ...settings, agents });
      const exports = config.split("\n").filter((line) => /^ {6}\{ (service|stream): "/.test(line));
      expect(exports.length).toBe(7);
      for (const line of exports) expect(line).toMatch(/accounts: \[(OPS|"AG_controller1")\]/);
    }
  });
});
