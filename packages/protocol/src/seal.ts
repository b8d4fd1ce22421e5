import {
  createCipheriv,
  createDecipheriv,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  randomBytes,
  type KeyObject,
} from "node:crypto";
import * as z from "zod/mini";
import { refused } from "./envelope.ts";
import { secretName } from "./names.ts";

/** Where a secret stands in a spec: which one and which version, never its value. */
export const secretRef = z.strictObject({
  secret: secretName,
  version: z.int().check(z.positive()),
});
export type SecretRef = z.infer<typeof secretRef>;

/** A secret that only one incarnation of one agent can open. */
export const sealedSecret = z.strictObject({
  secret: secretName,
  version: z.int().check(z.positive()),
  /** Ephemeral X25519 public key, base64 SPKI. */
  key: z.string().check(z.maxLength(128)),
  /** Nonce, tag and ciphertext, base64. */
  box: z.string().check(z.maxLength(65536)),
});
export type SealedSecret = z.infer<typeof sealedSecret>;

/** Whom a secret is sealed for; part of the authenticated data. */
export interface SealTarget {
  readonly cluster: string;
  readonly agent: string;
  readonly incarnation: number;
}

/** Seals one version of a secret for one incarnation of an agent, by its X25519 public key. */
export function sealSecret(
  ref: SecretRef,
  value: string,
  target: SealTarget,
  agentKey: KeyObject,
): SealedSecret {
  const ephemeral = generateKeyPairSync("x25519");
  const context = contextOf(ref, target);
  const nonce = randomBytes(12);
  const cipher = createCipheriv("chacha20-poly1305", shared(ephemeral.privateKey, agentKey, context), nonce, {
    authTagLength: 16,
  });
  cipher.setAAD(context, { plaintextLength: Buffer.byteLength(value) });
  const text = Buffer.concat([cipher.update(value, "utf8"), cipher.final()]);
  return {
    secret: ref.secret,
    version: ref.version,
    key: ephemeral.publicKey.export({ format: "der", type: "spki" }).toString("base64"),
    box: Buffer.concat([nonce, cipher.getAuthTag(), text]).toString("base64"),
  };
}

/**
 * Opens a sealed secret with the agent's X25519 private key.
 * @throws StackctlError `message_refused` when it was sealed for another agent or incarnation, or was changed
 */
export function openSecret(sealed: SealedSecret, target: SealTarget, agentKey: KeyObject): string {
  const context = contextOf(sealed, target);
  const box = Buffer.from(sealed.box, "base64");
  try {
    const ephemeral = createPublicKey({
      key: Buffer.from(sealed.key, "base64"),
      format: "der",
      type: "spki",
    });
    const decipher = createDecipheriv(
      "chacha20-poly1305",
      shared(agentKey, ephemeral, context),
      box.subarray(0, 12),
      { authTagLength: 16 },
    );
    decipher.setAuthTag(box.subarray(12, 28));
    decipher.setAAD(context, { plaintextLength: box.length - 28 });
    return Buffer.concat([decipher.update(box.subarray(28)), decipher.final()]).toString("utf8");
  } catch {
    throw refused(`secret ${sealed.secret} was not sealed for this agent`);
  }
}

function contextOf(ref: SecretRef, target: SealTarget): Buffer {
  return Buffer.from(
    `stackctl/seal/v1|${target.cluster}|${target.agent}|${String(target.incarnation)}|${ref.secret}|${String(ref.version)}`,
  );
}

function shared(privateHalf: KeyObject, publicHalf: KeyObject, context: Buffer): Buffer {
  const secret = diffieHellman({ privateKey: privateHalf, publicKey: publicHalf });
  return Buffer.from(hkdfSync("sha256", secret, Buffer.alloc(0), context, 32));
}
