import type { KeyObject } from "node:crypto";
import { randomUUID } from "node:crypto";
import {
  maxMessageBytes,
  requestLifeSeconds,
  sealEnvelope,
  StackctlError,
  type AgentRequest,
  type DocumentBody,
  type DocumentHeader,
  type RequestHeader,
} from "@stackctl/protocol";

/** Who signs: this server, in its epoch, with one of the keys that agents pin at enrolment. */
export interface Signer {
  readonly cluster: string;
  readonly leader: string;
  readonly epoch: number;
  readonly kid: string;
  /** Ed25519 private key. */
  readonly key: KeyObject;
}

/** How long a document may wait to be accepted for the first time; once accepted it holds for good. */
const documentLifeDays = 30;

/**
 * A document's signed bytes.
 * @throws StackctlError `spec_invalid` when they are too long to be sent
 */
export function signDocument(
  signer: Signer,
  to: { readonly host: string; readonly incarnation: number; readonly service: string; readonly seq: number },
  body: DocumentBody,
): Uint8Array {
  const header: DocumentHeader = {
    kind: "doc",
    ...common(signer, to, documentLifeDays * 86_400_000),
    service: to.service,
    seq: to.seq,
    minAgent: "0.1.0",
  };
  return sendable(
    sealEnvelope("doc", header, body, signer.key),
    `the document of ${to.service} for ${to.host}`,
    to.host,
  );
}

/**
 * A request's signed bytes and its id; it may be acted on for {@link requestLifeSeconds}.
 * @throws StackctlError `spec_invalid` when they are too long to be sent
 */
export function signRequest(
  signer: Signer,
  to: { readonly host: string; readonly incarnation: number },
  request: AgentRequest,
): { requestId: string; bytes: Uint8Array } {
  const requestId = randomUUID();
  const header: RequestHeader = { kind: "req", ...common(signer, to, requestLifeSeconds * 1000), requestId };
  const bytes = sealEnvelope("req", header, request, signer.key);
  return { requestId, bytes: sendable(bytes, `the request ${request.kind} for ${to.host}`, to.host) };
}

/** The bytes, unless the agent would refuse them for their length. */
function sendable(bytes: Uint8Array, what: string, host: string): Uint8Array {
  if (bytes.byteLength <= maxMessageBytes) return bytes;
  throw new StackctlError("spec_invalid", `${what} has ${String(bytes.byteLength)} bytes`, {
    details: {
      host,
      expected: `at most ${String(maxMessageBytes)} bytes`,
      remedy: "ask for less at once: fewer services, or shorter texts in cloud.yaml",
    },
  });
}

function common(
  { cluster, leader, epoch, kid }: Signer,
  { host, incarnation }: { readonly host: string; readonly incarnation: number },
  lifeMs: number,
): Omit<RequestHeader, "kind" | "requestId"> {
  const now = Date.now();
  return {
    v: 1,
    cluster,
    agent: host,
    incarnation,
    leader,
    epoch,
    issuedAt: new Date(now).toISOString(),
    notAfter: new Date(now + lifeMs).toISOString(),
    kid,
  };
}
