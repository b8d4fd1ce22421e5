import * as z from "zod/mini";
import { hostName } from "./names.ts";

/**
 * What `agent.cjs init` reads on its standard input, over SSH. It makes three key pairs on the host (once per
 * incarnation: called again with the same one it answers the same) and writes identity and trust, 0600.
 */
export const enrolmentOrder = z.strictObject({
  cluster: z.uuid(),
  host: hostName,
  incarnation: z.int().check(z.positive()),
  /** Random text that the agent signs with each of its keys: proof that it has them. */
  challenge: z.string().check(z.minLength(32), z.maxLength(128)),
  /** `tls://address:port` of every nats-server. */
  servers: z.array(z.string()).check(z.minLength(1)),
  /** PEM of the CA that signed nats-server's certificate. */
  ca: z.string(),
  /** The keys that may sign documents and requests, by key id: Ed25519, base64 SPKI. */
  documentKeys: z.record(z.string(), z.string()),
  /** Nothing older than this epoch is ever accepted. */
  epochFloor: z.int().check(z.positive()),
});
export type EnrolmentOrder = z.infer<typeof enrolmentOrder>;

/** What `agent.cjs init` prints: public halves only. */
export const enrolmentAnswer = z.strictObject({
  host: hostName,
  incarnation: z.int(),
  version: z.string(),
  bootId: z.uuid(),
  /** NATS user key, `U...`; for authentication only. */
  nkey: z.string().check(z.regex(/^U[A-Z2-7]{55}$/)),
  /** Ed25519, base64 SPKI: signs events. */
  eventKey: z.string().check(z.maxLength(128)),
  /** X25519, base64 SPKI: opens sealed secrets. */
  sealKey: z.string().check(z.maxLength(128)),
  /** The challenge signed by the NATS key and by the event key, base64. */
  proofs: z.strictObject({ nkey: z.string(), eventKey: z.string() }),
});
export type EnrolmentAnswer = z.infer<typeof enrolmentAnswer>;
