import { createHash, type KeyObject } from "node:crypto";
import {
  agentRequest,
  documentBody,
  documentHeader,
  openEnvelope,
  peekHeader,
  refused,
  requestHeader,
  subjects,
  version,
  type AgentRequest,
  type DocumentBody,
  type DocumentHeader,
  type RequestHeader,
} from "@stackctl/protocol";

/** Whom this agent obeys and who it is. */
export interface Trust {
  readonly cluster: string;
  readonly host: string;
  readonly incarnation: number;
  /** Keys that may sign, by id. */
  readonly documentKeys: ReadonlyMap<string, KeyObject>;
}

/** What was accepted so far; nothing older is accepted again. */
export interface Floors {
  /** Nothing of an earlier epoch counts, from whatever service. */
  readonly epoch: number;
  /** The one server that leads that epoch; null: none was heard yet. */
  readonly leader: string | null;
  /** Per service. */
  readonly documents: ReadonlyMap<
    string,
    { readonly epoch: number; readonly seq: number; readonly digest: string }
  >;
  /** Unix milliseconds: the latest time that a trusted signature named. A clock that jumped back does not revive old messages. */
  readonly latestIssuedMs: number;
}

/** A document that may be acted on; `known`: it is the very one that is held already. */
export interface AcceptedDocument {
  readonly header: DocumentHeader;
  readonly body: DocumentBody;
  readonly known: boolean;
}

/**
 * Accepts a document or says why not, in the order that leaves the least to an attacker: size, form, key, signature,
 * addressee, subject, age, and last what it says. Pure.
 * @throws StackctlError `message_refused`
 */
export function acceptDocument(
  bytes: Uint8Array,
  subject: string,
  trust: Trust,
  floors: Floors,
  nowMs: number,
): AcceptedDocument {
  const { header: rawHeader, body: rawBody } = openEnvelope("doc", bytes, keyFor(bytes, trust));
  const parsed = documentHeader.safeParse(rawHeader);
  if (!parsed.success) throw refused("its header is not of its form");
  const header = parsed.data;
  assertMine(header, trust);
  if (subject !== subjects.document(trust.host, header.service))
    throw refused(`it came on ${subject} and is for ${header.service}`);
  assertLeader(header, floors);
  const held = floors.documents.get(header.service);
  const age = held === undefined ? 1 : header.epoch - held.epoch || header.seq - held.seq;
  if (age < 0)
    throw refused(`epoch ${String(header.epoch)} number ${String(header.seq)} is older than what is held`);
  if (age > 0) assertAlive(header, floors, nowMs);
  if (newer(header.minAgent, version)) throw refused(`it needs agent ${header.minAgent}, this is ${version}`);
  const body = documentBody.safeParse(rawBody);
  if (!body.success) throw refused("its body is not of its form");
  if (body.data.service !== header.service)
    throw refused(`it is signed for ${header.service} and speaks of ${body.data.service}`);
  if (age === 0 && held?.digest !== body.data.digest)
    throw refused("its number was used for another content");
  return { header, body: body.data, known: age === 0 };
}

/**
 * Accepts a request or says why not.
 * @param seen ids of requests that were accepted within their life
 * @throws StackctlError `message_refused`
 */
export function acceptRequest(
  bytes: Uint8Array,
  subject: string,
  trust: Trust,
  floors: Floors,
  seen: ReadonlySet<string>,
  nowMs: number,
): { readonly header: RequestHeader; readonly body: AgentRequest } {
  const { header: rawHeader, body: rawBody } = openEnvelope("req", bytes, keyFor(bytes, trust));
  const parsed = requestHeader.safeParse(rawHeader);
  if (!parsed.success) throw refused("its header is not of its form");
  const header = parsed.data;
  assertMine(header, trust);
  if (subject !== subjects.request(trust.host)) throw refused(`it came on ${subject}`);
  assertLeader(header, floors);
  assertAlive(header, floors, nowMs);
  if (seen.has(header.requestId)) throw refused("it was taken in already");
  const body = agentRequest.safeParse(rawBody);
  if (!body.success) throw refused("its body is not of its form");
  return { header, body: body.data };
}

/** The floors after a header was accepted. */
export function raiseFloors(
  floors: Floors,
  header: DocumentHeader | RequestHeader,
  digest: string | null,
): Floors {
  const documents = new Map(floors.documents);
  if (header.kind === "doc" && digest !== null)
    documents.set(header.service, { epoch: header.epoch, seq: header.seq, digest });
  return {
    epoch: header.epoch,
    leader: header.leader,
    documents,
    latestIssuedMs: Math.max(floors.latestIssuedMs, Date.parse(header.issuedAt)),
  };
}

/** A short mark of a key id that is not pinned; the id itself may be anything. */
function keyFor(bytes: Uint8Array, trust: Trust): KeyObject {
  const header = peekHeader(bytes);
  const kid =
    typeof header === "object" && header !== null && "kid" in header && typeof header.kid === "string"
      ? header.kid
      : "";
  const key = trust.documentKeys.get(kid);
  if (key === undefined)
    throw refused(`its key ${createHash("sha256").update(kid).digest("hex").slice(0, 8)} is not pinned`);
  return key;
}

function assertMine(header: DocumentHeader | RequestHeader, trust: Trust): void {
  if (header.cluster !== trust.cluster) throw refused("it is of another cloud");
  if (header.agent !== trust.host) throw refused(`it is for ${header.agent}`);
  if (header.incarnation !== trust.incarnation)
    throw refused(`it is for incarnation ${String(header.incarnation)}`);
}

function assertLeader(header: DocumentHeader | RequestHeader, floors: Floors): void {
  if (header.epoch < floors.epoch)
    throw refused(`epoch ${String(header.epoch)} is over, ${String(floors.epoch)} is on`);
  if (header.epoch === floors.epoch && floors.leader !== null && header.leader !== floors.leader) {
    throw refused(`epoch ${String(header.epoch)} has another leader`);
  }
}

function assertAlive(header: DocumentHeader | RequestHeader, floors: Floors, nowMs: number): void {
  const now = Math.max(nowMs, floors.latestIssuedMs);
  if (now > Date.parse(header.notAfter))
    throw refused(
      `it was good until ${header.notAfter}; this host's clock says ${new Date(nowMs).toISOString()}`,
    );
}

/** True when version `a` is newer than `b`. */
export function newer(a: string, b: string): boolean {
  const left = a.split(".").map(Number);
  const right = b.split(".").map(Number);
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return false;
}
