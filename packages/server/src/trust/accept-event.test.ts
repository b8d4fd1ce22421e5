import { generateKeyPairSync, randomUUID, type KeyObject } from "node:crypto";
import {
  maxMessageBytes,
  publicKeyText,
  sealEnvelope,
  type AgentEvent,
  type EventHeader,
} from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import { acceptEvent } from "./accept-event.ts";

const own = generateKeyPairSync("ed25519").privateKey;
const peers = generateKeyPairSync("ed25519").privateKey;
const cluster = randomUUID();
const expected = {
  host: "controller1",
  kind: "result",
  cluster,
  incarnation: 2,
  eventKey: publicKeyText(own),
  floor: 10,
} as const;
const header: EventHeader = {
  v: 1,
  kind: "result",
  cluster,
  agent: "controller1",
  incarnation: 2,
  n: 11,
  at: new Date().toISOString(),
};
const event: AgentEvent = { type: "agent.started", version: "0.1.0", bootId: randomUUID() };
const sealed = (changed: object = {}, key: KeyObject = own, body: unknown = event): Uint8Array =>
  sealEnvelope("evt", { ...header, ...changed }, body, key);

/** The envelope's text with one of its parts changed after it was signed. */
function tampered(part: "h" | "b" | "s", edit: (text: string) => string): Uint8Array {
  const envelope = JSON.parse(Buffer.from(sealed()).toString()) as Record<"h" | "b" | "s", string>;
  return Buffer.from(JSON.stringify({ ...envelope, [part]: edit(envelope[part]) }));
}

it("takes in what is new and signed by who it names", () => {
  expect(acceptEvent(sealed(), expected)).toEqual({ header, body: event });
});

describe("counts none of", () => {
  it.each<[string, Uint8Array, string]>([
    ["an event signed by a peer", sealed({}, peers), "signature is wrong"],
    ["a peer's own event, replayed here", sealed({ agent: "controller2" }, peers), "signature is wrong"],
    ["an event that names another host", sealed({ agent: "controller2" }), "names controller2"],
    ["an event of another cloud", sealed({ cluster: randomUUID() }), "another cloud"],
    ["an event of a former incarnation", sealed({ incarnation: 1 }), "incarnation 1"],
    ["an event of a coming incarnation", sealed({ incarnation: 3 }), "incarnation 3"],
    ["a heartbeat on the subject of results", sealed({ kind: "status" }), "it is a status"],
    ["the last event again", sealed({ n: 10 }), "taken in already"],
    ["an older number", sealed({ n: 1 }), "taken in already"],
    ["a counter that a reboot set back", sealed({ n: 1, at: "2030-01-01T00:00:00Z" }), "taken in already"],
    ["a number that is none", sealed({ n: "11" }), "header is not of its form"],
    ["a number below one", sealed({ n: -1 }), "header is not of its form"],
    ["a header with one field more", sealed({ admin: true }), "header is not of its form"],
    ["an edited body", tampered("b", (text) => text.replace("0.1.0", "6.6.6")), "signature is wrong"],
    ["an edited header", tampered("h", (text) => text.replace('"n":11', '"n":99')), "signature is wrong"],
    ["an event without signature", tampered("s", () => ""), "signature is wrong"],
    ["a document's envelope", sealEnvelope("doc", header, event, own), "signature is wrong"],
    ["a request's envelope", sealEnvelope("req", header, event, own), "signature is wrong"],
    ["an unknown type", sealed({}, own, { type: "host.promoted" }), "body is not of its form"],
    ["a body with one field more", sealed({}, own, { ...event, run: 1 }), "body is not of its form"],
    ["a heartbeat's body as a result", sealed({}, own, { version: "0.1.0" }), "body is not of its form"],
    ["a key that would poison objects", sealed({}, own, JSON.parse('{"__proto__":{}}')), "forbidden key"],
    ["too much of it", Buffer.alloc(maxMessageBytes + 1, 0x20), "bytes"],
    ["nothing", new Uint8Array(), "envelope"],
    ["what is no JSON", Buffer.from("{"), "envelope is not JSON"],
  ])("%s", (_what, bytes, why) => {
    expect(() => acceptEvent(bytes, expected)).toThrow(
      expect.objectContaining({ code: "message_refused", message: expect.stringContaining(why) as unknown }),
    );
  });

  it("any single changed bit", () => {
    const good = sealed();
    let accepted = 0;
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bad = Uint8Array.from(good);
      bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      try {
        acceptEvent(bad, expected);
        accepted++;
      } catch (error) {
        expect(error).toHaveProperty("code", "message_refused");
      }
    }
    expect(accepted).toBe(0);
  });
});
