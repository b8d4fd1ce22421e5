import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { StackctlError } from "@stackctl/protocol";
import type { Store } from "../store/store.ts";

/**
 * Every secret of the cloud, AES-256-GCM under one key file (0600) with name and version as authenticated data.
 * Ciphertext is in the store; nothing of it is ever logged or shown.
 */
export class Vault {
  readonly #store: Store;
  readonly #key: Buffer;

  /**
   * Opens the vault, making its key file when there is none and no secret was ever written.
   * @throws StackctlError `vault_key_wrong` when the key file is missing, or does not open what is stored
   */
  constructor(store: Store, keyFile: string) {
    this.#store = store;
    if (!existsSync(keyFile)) {
      if (store.cloud() !== null) {
        throw new StackctlError("vault_key_wrong", `the vault's key ${keyFile} is missing`, {
          details: {
            expected: "the key file that this cloud was made with",
            remedy: `put ${keyFile} back from your backup`,
          },
        });
      }
      writeNew(keyFile, randomBytes(32).toString("base64"));
    }
    this.#key = Buffer.from(readFileSync(keyFile, "utf8").trim(), "base64");
    if (this.#key.length !== 32) {
      throw new StackctlError("vault_key_wrong", `${keyFile} is no vault key`, {
        details: { remedy: `put ${keyFile} back from your backup` },
      });
    }
  }

  /** Writes a new version of a secret; the same value again writes nothing. @returns its version */
  write(by: string, name: string, value: string): number {
    const newest = this.#store.secret(name);
    if (newest !== null && this.#open(name, newest) === value) return newest.version;
    const version = (newest?.version ?? 0) + 1;
    const nonce = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce);
    cipher.setAAD(context(name, version));
    const body = Buffer.concat([cipher.update(value, "utf8"), cipher.final()]);
    const box = Buffer.concat([nonce, cipher.getAuthTag(), body]).toString("base64");
    this.#store.decide(by, { type: "secret.written", name, version, box });
    return version;
  }

  /** The newest version's number; null: there is no such secret. */
  version(name: string): number | null {
    return this.#store.secret(name)?.version ?? null;
  }

  /** The newest version's number. @throws StackctlError `secret_missing` with how to set it */
  needVersion(name: string): number {
    const version = this.version(name);
    if (version !== null) return version;
    throw new StackctlError("secret_missing", `the vault has no secret ${name}`, {
      details: { remedy: `stackctl secret set ${name}` },
    });
  }

  /**
   * The value of a secret: its newest version, or a given one.
   * @throws StackctlError `secret_missing`
   */
  reveal(name: string, version?: number): string {
    const stored = this.#store.secret(name, version);
    if (stored === null) {
      throw new StackctlError("secret_missing", `the vault has no secret ${name}`, {
        details: { remedy: `stackctl secret set ${name}` },
      });
    }
    return this.#open(name, stored);
  }

  #open(name: string, stored: { readonly version: number; readonly box: string }): string {
    const box = Buffer.from(stored.box, "base64");
    const decipher = createDecipheriv("aes-256-gcm", this.#key, box.subarray(0, 12));
    decipher.setAuthTag(box.subarray(12, 28));
    decipher.setAAD(context(name, stored.version));
    try {
      return Buffer.concat([decipher.update(box.subarray(28)), decipher.final()]).toString("utf8");
    } catch (cause) {
      throw new StackctlError("vault_key_wrong", `the vault's key does not open secret ${name}`, {
        details: { remedy: "put the vault key of this cloud back from your backup" },
        cause,
      });
    }
  }
}

function context(name: string, version: number): Buffer {
  return Buffer.from(`stackctl/vault/v1|${name}|${String(version)}`);
}

/** A new file of mode 0600, on disk when this returns; never overwrites. */
function writeNew(file: string, text: string): void {
  const descriptor = openSync(file, "wx", 0o600);
  try {
    writeSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
