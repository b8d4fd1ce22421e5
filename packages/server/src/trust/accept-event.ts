import {
  agentEvent,
  agentStatus,
  eventHeader,
  logBatch,
  openEnvelope,
  publicKey,
  refused,
  type EventHeader,
} from "@stackctl/protocol";

/** Whom a message has to be from, by the subject that it came on and by what was recorded at enrolment. */
export interface ExpectedSender<K extends EventHeader["kind"]> {
  readonly host: string;
  readonly kind: K;
  readonly cluster: string;
  readonly incarnation: number;
  /** Ed25519, base64 SPKI. */
  readonly eventKey: string;
  /** The highest number that was taken in of this incarnation and kind. */
  readonly floor: number;
}

const bodies = { result: agentEvent, status: agentStatus, lines: logBatch } as const;
type BodyOf<K extends EventHeader["kind"]> = ReturnType<(typeof bodies)[K]["parse"]>;

/**
 * What an agent says, checked in the order that leaves the least to a hostile one: size, form, signature, then
 * who, for which cloud and incarnation, then whether it is new, and only then what it says.
 * @throws StackctlError `message_refused`; "taken in already" for what was
 */
export function acceptEvent<K extends EventHeader["kind"]>(
  bytes: Uint8Array,
  expected: ExpectedSender<K>,
): { readonly header: EventHeader; readonly body: BodyOf<K> } {
  const { header: rawHeader, body: rawBody } = openEnvelope("evt", bytes, publicKey(expected.eventKey));
  const parsed = eventHeader.safeParse(rawHeader);
  if (!parsed.success) throw refused("its header is not of its form");
  const header = parsed.data;
  if (header.agent !== expected.host)
    throw refused(`it names ${header.agent} and came from ${expected.host}`);
  if (header.kind !== expected.kind)
    throw refused(`it is a ${header.kind} on the subject of a ${expected.kind}`);
  if (header.cluster !== expected.cluster) throw refused("it is of another cloud");
  if (header.incarnation !== expected.incarnation) {
    throw refused(
      `it is of incarnation ${String(header.incarnation)}, ${String(expected.incarnation)} is enrolled`,
    );
  }
  if (header.n <= expected.floor) throw refused(`number ${String(header.n)} was taken in already`);
  const body = bodies[expected.kind].safeParse(rawBody);
  if (!body.success) throw refused("its body is not of its form");
  return { header, body: body.data as BodyOf<K> };
}
