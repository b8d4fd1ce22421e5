import { randomBytes } from "node:crypto";
import type { Store } from "../store/store.ts";
import type { Vault } from "../vault/vault.ts";
import { ringNames, ringSecret } from "./rings.ts";

/**
 * Makes the first generation of each ring, once. Killed in between, a key or two are in the vault that no ring names.
 */
export function ensureRings(store: Store, vault: Vault): void {
  for (const ring of ringNames) {
    if (store.rings().has(ring)) continue;
    const [signing, next] = [newKey(), newKey()].map((key) => vault.write("server", ringSecret(ring), key));
    if (signing === undefined || next === undefined) throw new Error("two keys make a ring");
    store.decide("server", { type: "ring.set", ring, generation: 1, keys: { 0: next, 1: signing } });
  }
}

/** A key as cryptography's Fernet takes it: 32 bytes, base64 for URLs with its padding. */
function newKey(): string {
  return `${randomBytes(32).toString("base64url")}=`;
}
