import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from "node:crypto";
import * as z from "zod/mini";
import { StackctlError } from "./errors.ts";
import { maxMessageBytes } from "./subjects.ts";

/** What a signature is for. It is part of the signed bytes, so that one kind can never pass as another. */
export type EnvelopeKind = "doc" | "req" | "evt";

/** A signed message: the exact bytes of header and body, so that nothing depends on how JSON is written. */
const envelopeSchema = z.strictObject({
  h: z.string().check(z.maxLength(4096)),
  b: z.string().check(z.maxLength(maxMessageBytes)),
  s: z.string().check(z.maxLength(128)),
});

/** Header and body of an envelope whose signature was right, still to be parsed strictly. */
export interface OpenedEnvelope {
  readonly header: unknown;
  readonly body: unknown;
}

/** Signs header and body (both JSON values) for `kind` with an Ed25519 private key. */
export function sealEnvelope(kind: EnvelopeKind, header: unknown, body: unknown, key: KeyObject): Uint8Array {
  const h = JSON.stringify(header);
  const b = JSON.stringify(body);
  const s = sign(null, signedBytes(kind, h, b), key).toString("base64");
  return Buffer.from(JSON.stringify({ h, b, s }));
}

/**
 * Opens an envelope in the order that leaves the least to an attacker: size, form, signature, and only then
 * the JSON of header and body.
 * @throws StackctlError `message_refused` saying which check failed
 */
export function openEnvelope(kind: EnvelopeKind, data: Uint8Array, key: KeyObject): OpenedEnvelope {
  if (data.byteLength > maxMessageBytes)
    throw refused(`it has ${String(data.byteLength)} bytes, ${String(maxMessageBytes)} are allowed`);
  const parsed = envelopeSchema.safeParse(parseJson(Buffer.from(data).toString("utf8"), "envelope"));
  if (!parsed.success) throw refused("it is no envelope");
  const { h, b } = parsed.data;
  const signature = Buffer.from(parsed.data.s, "base64");
  // Node reads sloppy base64; only the one spelling of a signature counts, so that no changed byte goes unnoticed.
  if (
    signature.toString("base64") !== parsed.data.s ||
    !verify(null, signedBytes(kind, h, b), key, signature)
  ) {
    throw refused("its signature is wrong");
  }
  return { header: parseJson(h, "header"), body: parseJson(b, "body") };
}

/** Reads a header without checking anything, only to choose the key to check with. */
export function peekHeader(data: Uint8Array): unknown {
  if (data.byteLength > maxMessageBytes)
    throw refused(`it has ${String(data.byteLength)} bytes, ${String(maxMessageBytes)} are allowed`);
  const parsed = envelopeSchema.safeParse(parseJson(Buffer.from(data).toString("utf8"), "envelope"));
  if (!parsed.success) throw refused("it is no envelope");
  return parseJson(parsed.data.h, "header");
}

/** An Ed25519 or X25519 public key from its base64 SPKI form. */
export function publicKey(base64: string): KeyObject {
  return createPublicKey({ key: Buffer.from(base64, "base64"), format: "der", type: "spki" });
}

/** A private key from its base64 PKCS#8 form. */
export function privateKey(base64: string): KeyObject {
  return createPrivateKey({ key: Buffer.from(base64, "base64"), format: "der", type: "pkcs8" });
}

/** The base64 SPKI form of a public key, or of the public half of a private one. */
export function publicKeyText(key: KeyObject): string {
  const half = key.type === "private" ? createPublicKey(key) : key;
  return half.export({ format: "der", type: "spki" }).toString("base64");
}

/** The base64 PKCS#8 form of a private key; for files of mode 0600 only. */
export function privateKeyText(key: KeyObject): string {
  return key.export({ format: "der", type: "pkcs8" }).toString("base64");
}

/** Every refusal of a message is made here, so that its code and tone are the same. */
export function refused(why: string): StackctlError {
  return new StackctlError("message_refused", `message refused: ${why}`);
}

function signedBytes(kind: EnvelopeKind, header: string, body: string): Buffer {
  const h = Buffer.from(header);
  const b = Buffer.from(body);
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(h.length, 0);
  lengths.writeUInt32BE(b.length, 4);
  return Buffer.concat([
    Buffer.from(`stackctl/${kind}/v1\0`),
    lengths.subarray(0, 4),
    h,
    lengths.subarray(4),
    b,
  ]);
}

/** Deeper JSON than this is refused: no message of ours needs it. */
const maxDepth = 12;

function parseJson(text: string, what: string): unknown {
  if (depthOf(text) > maxDepth) throw refused(`its ${what} is nested too deep`);
  try {
    return JSON.parse(text, (key, value: unknown) => {
      if (key === "__proto__" || key === "constructor" || key === "prototype")
        throw refused(`its ${what} has a forbidden key`);
      return value;
    });
  } catch (error) {
    if (error instanceof StackctlError) throw error;
    throw refused(`its ${what} is not JSON`);
  }
}

function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (inString) {
      if (c === 0x5c) i++;
      else if (c === 0x22) inString = false;
    } else if (c === 0x22) inString = true;
    else if (c === 0x7b || c === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (c === 0x7d || c === 0x5d) depth--;
  }
  return deepest;
}
