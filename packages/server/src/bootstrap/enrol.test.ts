import { execFileSync } from "node:child_process";
import { generateKeyPairSync, sign } from "node:crypto";
import { createUser } from "@nats-io/nkeys";
import { publicKeyText, version, type EnrolmentOrder } from "@stackctl/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkAnswer } from "./enrol.ts";
import { shellLine } from "./ssh.ts";
import { agentUnitFile } from "./unit.ts";

const user = createUser();
const event = generateKeyPairSync("ed25519");
const seal = generateKeyPairSync("x25519");
const order: EnrolmentOrder = {
  cluster: "6f1c1a1e-3a52-4e0e-8a55-0f6b0d5b9d11",
  host: "compute1",
  incarnation: 2,
  challenge: "c".repeat(44),
  servers: ["tls://10.10.0.1:4222"],
  ca: "x",
  documentKeys: {},
  epochFloor: 1,
};
const challenge = Buffer.from(order.challenge);
const good = {
  host: "compute1",
  incarnation: 2,
  version,
  bootId: "8c6b2c1e-7d2a-4c7e-9f64-0d9b1f1d2a3b",
  nkey: user.getPublicKey(),
  eventKey: publicKeyText(event.publicKey),
  sealKey: publicKeyText(seal.publicKey),
  proofs: {
    nkey: Buffer.from(user.sign(challenge)).toString("base64"),
    eventKey: sign(null, challenge, event.privateKey).toString("base64"),
  },
};
const check = (more: Record<string, unknown>): unknown =>
  checkAnswer(order, JSON.stringify({ ...good, ...more }));

describe("checkAnswer", () => {
  it("takes an answer that proves its keys", () => {
    expect(check({})).toMatchObject({ host: "compute1", incarnation: 2 });
  });

  const other = generateKeyPairSync("ed25519");
  it.each([
    ["another host", { host: "compute2" }],
    ["a wildcard for a name", { host: "*" }],
    ["another incarnation", { incarnation: 1 }],
    ["another version", { version: "9.9.9" }],
    ["a key of another kind", { nkey: `A${good.nkey.slice(1)}` }],
    [
      "a proof of another key",
      { proofs: { ...good.proofs, eventKey: sign(null, challenge, other.privateKey).toString("base64") } },
    ],
    [
      "a proof of another challenge",
      {
        proofs: {
          ...good.proofs,
          eventKey: sign(null, Buffer.from("x"), event.privateKey).toString("base64"),
        },
      },
    ],
    [
      "a proof of another NATS key",
      { proofs: { ...good.proofs, nkey: Buffer.from(createUser().sign(challenge)).toString("base64") } },
    ],
    ["an empty proof", { proofs: { nkey: "", eventKey: "" } }],
    ["another field", { extra: true }],
    ["no boot id", { bootId: "none" }],
  ])("refuses %s", (_name, more) => {
    expect(() => check(more)).toThrow(expect.objectContaining({ code: "enrolment_refused" }));
  });

  it("refuses what is no JSON", () => {
    expect(() => checkAnswer(order, "bash: node: not found")).toThrow(
      expect.objectContaining({ code: "enrolment_refused" }),
    );
  });
});

describe("shellLine", () => {
  it("arrives as the very arguments, through a real shell", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\0")),
          { minLength: 1, maxLength: 4 },
        ),
        (argv) => {
          const printed = execFileSync("sh", ["-c", shellLine(["printf", "%s\\0", ...argv])], {
            encoding: "utf8",
          });
          expect(printed.split("\0").slice(0, -1)).toEqual(argv);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("agentUnitFile", () => {
  it("is one that systemd takes", () => {
    expect(agentUnitFile()).toContain("ExecStart=/opt/stackctl/current/node");
    expect(agentUnitFile()).toContain("Restart=always");
  });
});
