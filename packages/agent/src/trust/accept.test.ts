import { generateKeyPairSync, randomUUID } from "node:crypto";
import {
  documentDigest,
  maxMessageBytes,
  publicKey,
  publicKeyText,
  sealEnvelope,
  StackctlError,
  type DocumentBody,
  type DocumentHeader,
  type RequestHeader,
  type Resource,
} from "@stackctl/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { acceptDocument, acceptRequest, raiseFloors, type Floors, type Trust } from "./accept.ts";

const server = generateKeyPairSync("ed25519");
const stranger = generateKeyPairSync("ed25519");
const cluster = "6f1c1a1e-3a52-4e0e-8a55-0f6b0d5b9d11";
const leader = "0a9cf7f0-7a7d-4c1c-9a55-3f6b0d5b9d22";
const trust: Trust = {
  cluster,
  host: "compute1",
  incarnation: 2,
  documentKeys: new Map([["document-1", publicKey(publicKeyText(server.publicKey))]]),
};
const now = Date.parse("2026-01-01T12:00:00.000Z");
const none: Floors = { epoch: 1, leader: null, documents: new Map(), latestIssuedMs: 0 };

const resources: Resource[] = [{ type: "hostname", name: "hostname", spec: { hostname: "compute1" } }];
const goodHeader: DocumentHeader = {
  v: 1,
  kind: "doc",
  cluster,
  agent: "compute1",
  incarnation: 2,
  leader,
  epoch: 3,
  issuedAt: "2026-01-01T11:59:59.000Z",
  notAfter: "2026-01-31T11:59:59.000Z",
  kid: "document-1",
  service: "host",
  seq: 10,
  minAgent: "0.1.0",
};
const goodBody: DocumentBody = {
  service: "host",
  digest: documentDigest("host", [], resources),
  needs: [],
  resources,
  sealed: [],
  origins: {},
  cause: { kind: "run", text: "run 1" },
};
const floors: Floors = {
  epoch: 3,
  leader,
  documents: new Map([["host", { epoch: 3, seq: 9, digest: "0".repeat(64) }]]),
  latestIssuedMs: 0,
};

const bytesOf = (
  header: Record<string, unknown>,
  body: Record<string, unknown> = {},
  key = server.privateKey,
  kind: "doc" | "req" | "evt" = "doc",
): Uint8Array => sealEnvelope(kind, { ...goodHeader, ...header }, { ...goodBody, ...body }, key);
const accept = (
  bytes: Uint8Array,
  at: Floors = floors,
  subject = "doc.compute1.host",
  time = now,
): ReturnType<typeof acceptDocument> => acceptDocument(bytes, subject, trust, at, time);
const refusal = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof StackctlError && error.code === "message_refused") return error.message;
    throw error;
  }
  throw new Error("it was accepted");
};

describe("acceptDocument", () => {
  it("accepts a newer one that is signed for this agent", () => {
    expect(accept(bytesOf({}))).toMatchObject({ known: false, header: { seq: 10 } });
    expect(accept(bytesOf({}), none)).toMatchObject({ known: false });
  });

  it("knows the very one that it holds, and takes it even when it has expired since", () => {
    const held: Floors = {
      ...floors,
      documents: new Map([["host", { epoch: 3, seq: 10, digest: goodBody.digest }]]),
    };
    expect(accept(bytesOf({}), held)).toMatchObject({ known: true });
    expect(accept(bytesOf({ notAfter: "2025-01-01T00:00:00.000Z" }), held)).toMatchObject({ known: true });
  });

  it("lets a later epoch begin with a lower number and another leader", () => {
    expect(accept(bytesOf({ epoch: 4, seq: 1, leader: randomUUID() }))).toMatchObject({ known: false });
  });

  const forged: [string, Uint8Array, RegExp, { subject?: string; floors?: Floors; time?: number }?][] = [
    ["signed by a stranger", bytesOf({}, {}, stranger.privateKey), /signature/],
    ["naming a key that is not pinned", bytesOf({ kid: "document-2" }), /not pinned/],
    ["naming no key", bytesOf({ kid: undefined }), /not pinned/],
    ["naming a key by a prototype's name", bytesOf({ kid: "toString" }), /not pinned/],
    ["signed as a request", bytesOf({}, {}, server.privateKey, "req"), /signature/],
    ["signed as an event", bytesOf({}, {}, server.privateKey, "evt"), /signature/],
    ["with the header of a request", bytesOf({ kind: "req" }), /header/],
    ["for another agent", bytesOf({ agent: "compute2" }), /for compute2/],
    ["for another cloud", bytesOf({ cluster: randomUUID() }), /another cloud/],
    ["for a former incarnation", bytesOf({ incarnation: 1 }), /incarnation 1/],
    ["for a later incarnation", bytesOf({ incarnation: 3 }), /incarnation 3/],
    ["on the subject of another service", bytesOf({}), /came on/, { subject: "doc.compute1.chrony" }],
    ["on the subject of another host", bytesOf({}), /came on/, { subject: "doc.compute2.host" }],
    ["on a subject of requests", bytesOf({}), /came on/, { subject: "req.compute1" }],
    [
      "signed for one service and speaking of another",
      bytesOf({}, { service: "chrony" }),
      /speaks of chrony/,
    ],
    ["with a lower number", bytesOf({ seq: 8 }), /older/],
    ["of an epoch that is over", bytesOf({ epoch: 2, seq: 99 }), /is over/],
    ["of another leader in the same epoch", bytesOf({ leader: randomUUID() }), /another leader/],
    ["with a number that was used for something else", bytesOf({ seq: 9 }), /another content/],
    ["that has expired", bytesOf({ notAfter: "2026-01-01T11:59:00.000Z" }), /good until/],
    [
      "that had expired before the clock was set back",
      bytesOf({ notAfter: "2026-01-02T00:00:00.000Z" }),
      /good until/,
      { floors: { ...floors, latestIssuedMs: now + 86_400_000 } },
    ],
    ["that needs a newer agent", bytesOf({ minAgent: "99.0.0" }), /needs agent/],
    ["with a number of zero", bytesOf({ seq: 0 }), /header/],
    ["with a negative epoch", bytesOf({ epoch: -1 }), /header/],
    ["with a number that is a text", bytesOf({ seq: "11" }), /header/],
    ["with another key in its header", bytesOf({ extra: true }), /header/],
    ["with another key in its body", bytesOf({}, { extra: true }), /body/],
    [
      "with a resource type that nobody knows",
      bytesOf({}, { resources: [{ type: "shell", name: "x", spec: { run: "id" } }] }),
      /body/,
    ],
    [
      "with a spec that has another key",
      bytesOf(
        {},
        { resources: [{ type: "hostname", name: "hostname", spec: { hostname: "a", run: "id" } }] },
      ),
      /body/,
    ],
    [
      "with a hostname that is a path",
      bytesOf(
        {},
        { resources: [{ type: "hostname", name: "hostname", spec: { hostname: "../../etc/passwd" } }] },
      ),
      /body/,
    ],
    [
      "with a line break in a server's name",
      bytesOf(
        {},
        {
          resources: [
            {
              type: "chrony",
              name: "chrony",
              spec: { servers: ["a\nb"], allow: [], stepThresholdSeconds: 1 },
            },
          ],
        },
      ),
      /body/,
    ],
    [
      "with an infinite number",
      bytesOf(
        {},
        {
          resources: [
            {
              type: "chrony",
              name: "chrony",
              spec: { servers: ["a"], allow: [], stepThresholdSeconds: Number.POSITIVE_INFINITY },
            },
          ],
        },
      ),
      /body/,
    ],
    [
      "with its own prototype",
      Buffer.from(JSON.stringify({ h: '{"__proto__":{"kid":"document-1"}}', b: "{}", s: "" })),
      /forbidden/,
    ],
    [
      "nested too deep",
      Buffer.from(JSON.stringify({ h: "[".repeat(20) + "]".repeat(20), b: "{}", s: "" })),
      /too deep/,
    ],
    ["that is no JSON", Buffer.from("hello"), /not JSON/],
    ["that is empty", Buffer.alloc(0), /not JSON/],
    ["that is an array", Buffer.from("[]"), /no envelope/],
    [
      "with another key beside its envelope",
      Buffer.from(JSON.stringify({ h: "{}", b: "{}", s: "", x: 1 })),
      /no envelope/,
    ],
    ["that is too long", Buffer.alloc(maxMessageBytes + 1, 0x20), /bytes/],
  ];
  it.each(forged)("refuses one %s", (_name, bytes, why, more = {}) => {
    expect(refusal(() => accept(bytes, more.floors ?? floors, more.subject, more.time))).toMatch(why);
  });

  it("refuses every single bit that is turned", { timeout: 60_000 }, () => {
    const good = Buffer.from(bytesOf({}));
    let accepted = 0;
    for (let bit = 0; bit < good.length * 8; bit++) {
      const turned = Buffer.from(good);
      turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      try {
        accept(turned);
        accepted += 1;
      } catch (error) {
        if (!(error instanceof StackctlError) || error.code !== "message_refused") throw error;
      }
    }
    expect(accepted).toBe(0);
  });

  it("throws nothing but a refusal, whatever comes", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.json().map((text) => Buffer.from(text)),
          fc
            .record({ h: fc.json(), b: fc.json(), s: fc.base64String() })
            .map((value) => Buffer.from(JSON.stringify(value))),
        ),
        (bytes) => {
          expect(refusal(() => accept(bytes))).toContain("refused");
        },
      ),
      { numRuns: 3000 },
    );
  });

  it("ends at the newest, whatever the order of delivery", () => {
    const documents = [1, 2, 3, 4].flatMap((seq) => [3, 4].map((epoch) => ({ seq, epoch })));
    fc.assert(
      fc.property(
        fc.shuffledSubarray(documents, { minLength: documents.length, maxLength: documents.length }),
        (order) => {
          let at: Floors = none;
          const leaders: Record<number, string> = { 3: leader, 4: "0a9cf7f0-7a7d-4c1c-9a55-3f6b0d5b9d33" };
          for (const { seq, epoch } of order) {
            try {
              const { header, body } = accept(
                bytesOf(
                  { seq, epoch, leader: leaders[epoch] },
                  { digest: String(epoch * 10 + seq).padStart(64, "0") },
                ),
                at,
              );
              at = raiseFloors(at, header, body.digest);
            } catch (error) {
              if (!(error instanceof StackctlError)) throw error;
            }
          }
          expect(at.documents.get("host")).toMatchObject({ epoch: 4, seq: 4 });
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe("acceptRequest", () => {
  const header: RequestHeader = {
    v: 1,
    cluster,
    agent: "compute1",
    incarnation: 2,
    leader,
    epoch: 3,
    issuedAt: goodHeader.issuedAt,
    kid: goodHeader.kid,
    kind: "req",
    requestId: "5b0fd1c2-8a2b-4b7a-9d7f-1d2c3b4a5e6f",
    notAfter: "2026-01-01T12:00:29.000Z",
  };
  const request = (more: Record<string, unknown> = {}, body: unknown = { kind: "ping" }): Uint8Array =>
    sealEnvelope("req", { ...header, ...more }, body, server.privateKey);
  const take = (
    bytes: Uint8Array,
    seen: ReadonlySet<string> = new Set(),
    time = now,
    subject = "req.compute1",
  ): ReturnType<typeof acceptRequest> => acceptRequest(bytes, subject, trust, floors, seen, time);

  it("accepts a fresh one of a kind that it knows", () => {
    expect(take(request()).body).toEqual({ kind: "ping" });
  });

  it.each([
    ["again", () => take(request(), new Set([header.requestId])), /already/],
    ["after its life", () => take(request(), new Set(), now + 31_000), /good until/],
    ["on another subject", () => take(request(), new Set(), now, "req.compute2"), /came on/],
    ["of an unknown kind", () => take(request({}, { kind: "exec", argv: ["id"] })), /body/],
    ["that is a document", () => take(bytesOf({})), /signature/],
    ["for another host", () => take(request({ agent: "controller1" })), /for controller1/],
    ["of an epoch that is over", () => take(request({ epoch: 2 })), /is over/],
    ["with another key", () => take(request({}, { kind: "ping", extra: 1 })), /body/],
  ])("refuses one %s", (_name, work, why) => {
    expect(refusal(work)).toMatch(why);
  });
});
