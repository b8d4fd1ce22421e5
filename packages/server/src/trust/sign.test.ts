import { generateKeyPairSync, randomUUID } from "node:crypto";
import {
  agentRequest,
  documentBody,
  documentDigest,
  documentHeader,
  maxMessageBytes,
  openEnvelope,
  publicKey,
  publicKeyText,
  requestHeader,
  requestLifeSeconds,
  type DocumentBody,
} from "@stackctl/protocol";
import { expect, it } from "vitest";
import { signDocument, signRequest, type Signer } from "./sign.ts";

const key = generateKeyPairSync("ed25519").privateKey;
const signer: Signer = { cluster: randomUUID(), leader: randomUUID(), epoch: 3, kid: "document-1", key };
const known = publicKey(publicKeyText(key));
const to = { host: "controller1", incarnation: 2, service: "chrony", seq: 7 };
const body = (why: string): DocumentBody => ({
  service: "chrony",
  digest: documentDigest("chrony", [], []),
  needs: [],
  resources: [],
  sealed: [],
  origins: { x: why },
  cause: { kind: "run", text: "run 1" },
});
const lifeSeconds = (header: { issuedAt: string; notAfter: string }): number =>
  (Date.parse(header.notAfter) - Date.parse(header.issuedAt)) / 1000;

it("signs a document for one host, incarnation, service and number, for 30 days", () => {
  const opened = openEnvelope("doc", signDocument(signer, to, body("")), known);
  const header = documentHeader.parse(opened.header);
  expect(header).toMatchObject({
    cluster: signer.cluster,
    leader: signer.leader,
    epoch: 3,
    kid: "document-1",
    agent: "controller1",
    incarnation: 2,
    service: "chrony",
    seq: 7,
  });
  expect(lifeSeconds(header)).toBe(30 * 86_400);
  expect(documentBody.parse(opened.body)).toEqual(body(""));
});

it("signs a request under a new id each time, for a short life", () => {
  const first = signRequest(signer, to, { kind: "ping" });
  const second = signRequest(signer, to, { kind: "ping" });
  expect(second.requestId).not.toBe(first.requestId);
  const opened = openEnvelope("req", first.bytes, known);
  const header = requestHeader.parse(opened.header);
  expect(header.requestId).toBe(first.requestId);
  expect(lifeSeconds(header)).toBe(requestLifeSeconds);
  expect(agentRequest.parse(opened.body)).toEqual({ kind: "ping" });
});

it("never makes a document pass as a request", () => {
  expect(() => openEnvelope("req", signDocument(signer, to, body("")), known)).toThrow("signature is wrong");
});

it("refuses what no agent would read, and signs what is just short enough", () => {
  const overhead = signDocument(signer, to, body("")).byteLength;
  const fits = body("x".repeat(maxMessageBytes - overhead));
  expect(signDocument(signer, to, fits).byteLength).toBe(maxMessageBytes);
  const tooLong = body("x".repeat(maxMessageBytes - overhead + 1));
  expect(() => signDocument(signer, to, tooLong)).toThrow(
    expect.objectContaining({
      code: "spec_invalid",
      details: expect.objectContaining({ host: "controller1" }) as unknown,
    }),
  );
  expect(() => signRequest(signer, to, { kind: "plan", documents: [tooLong] })).toThrow(
    expect.objectContaining({ code: "spec_invalid" }),
  );
});
