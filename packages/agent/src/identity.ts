import { generateKeyPairSync, sign } from "node:crypto";
import { join } from "node:path";
import { createUser, fromSeed } from "@nats-io/nkeys";
import {
  enrolmentOrder,
  privateKey,
  privateKeyText,
  publicKey,
  publicKeyText,
  StackctlError,
  version,
  type EnrolmentAnswer,
} from "@stackctl/protocol";
import { setAside } from "./engine/state.ts";
import { readOrNull, writeAtomically } from "./host/files.ts";
import type { Trust } from "./trust/accept.ts";

/** Who this agent is and whom it obeys. Holds private keys: never leaves the host, 0600. */
export interface Identity {
  readonly cluster: string;
  readonly host: string;
  readonly incarnation: number;
  readonly servers: readonly string[];
  /** PEM. */
  readonly ca: string;
  /** By key id, base64 SPKI. */
  readonly documentKeys: Readonly<Record<string, string>>;
  readonly epochFloor: number;
  /** NATS seed; for authentication only. */
  readonly seed: string;
  /** Ed25519, base64 PKCS#8. */
  readonly eventKey: string;
  /** X25519, base64 PKCS#8. */
  readonly sealKey: string;
}

/** @throws StackctlError `enrolment_refused` when the host was never enrolled */
export function readIdentity(folder: string): Identity {
  const text = readOrNull(join(folder, "identity.json"));
  if (text === null)
    throw new StackctlError("enrolment_refused", "this host is not enrolled", {
      details: { remedy: "stackctl apply, on the deploy host" },
    });
  return JSON.parse(text) as Identity;
}

/** Whom an identity obeys, with its keys ready for use. */
export function trustOf(identity: Identity): Trust {
  return {
    cluster: identity.cluster,
    host: identity.host,
    incarnation: identity.incarnation,
    documentKeys: new Map(Object.entries(identity.documentKeys).map(([kid, key]) => [kid, publicKey(key)])),
  };
}

/**
 * Enrols this host: makes its keys and keeps whom to obey. The same cloud and incarnation again keeps the keys, so that
 * an enrolment that was interrupted can be repeated; another one makes new keys, and what was sealed or queued for the
 * former is set aside.
 */
export function enrol(folder: string, orderText: string, bootId: string): EnrolmentAnswer {
  const order = enrolmentOrder.parse(JSON.parse(orderText));
  const known = readOrNull(join(folder, "identity.json"));
  const before = known === null ? null : (JSON.parse(known) as Identity);
  const same =
    before !== null &&
    before.cluster === order.cluster &&
    before.incarnation === order.incarnation &&
    before.host === order.host;
  const keys = same
    ? { seed: before.seed, eventKey: before.eventKey, sealKey: before.sealKey }
    : {
        seed: new TextDecoder().decode(createUser().getSeed()),
        eventKey: privateKeyText(generateKeyPairSync("ed25519").privateKey),
        sealKey: privateKeyText(generateKeyPairSync("x25519").privateKey),
      };
  if (!same && before !== null) setAside(folder, before.incarnation);
  const { cluster, host, incarnation, servers, ca, documentKeys, epochFloor } = order;
  const identity: Identity = { cluster, host, incarnation, servers, ca, documentKeys, epochFloor, ...keys };
  writeAtomically(join(folder, "identity.json"), JSON.stringify(identity), 0o600);
  const user = fromSeed(new TextEncoder().encode(keys.seed));
  const challenge = Buffer.from(order.challenge);
  const eventKey = privateKey(keys.eventKey);
  return {
    host,
    incarnation,
    version,
    bootId,
    nkey: user.getPublicKey(),
    eventKey: publicKeyText(eventKey),
    sealKey: publicKeyText(privateKey(keys.sealKey)),
    proofs: {
      nkey: Buffer.from(user.sign(challenge)).toString("base64"),
      eventKey: sign(null, challenge, eventKey).toString("base64"),
    },
  };
}
