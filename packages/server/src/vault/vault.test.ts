import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Store } from "../store/store.ts";
import { Vault } from "./vault.ts";

let folder: string;
let store: Store;
const keyFile = (): string => join(folder, "vault.key");
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vault-"));
  store = new Store(join(folder, "a.db"));
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

describe("Vault", () => {
  it("gives back what was written, by version, and keeps only ciphertext", () => {
    const vault = new Vault(store, keyFile());
    expect(vault.write("t", "db", "first-value")).toBe(1);
    expect(vault.write("t", "db", "second-value")).toBe(2);
    expect(vault.write("t", "db", "second-value")).toBe(2);
    expect(vault.reveal("db")).toBe("second-value");
    expect(vault.reveal("db", 1)).toBe("first-value");
    expect(JSON.stringify(store.log())).not.toContain("value");
    expect(readFileSync(join(folder, "a.db")).includes("first-value")).toBe(false);
    expect(statSync(keyFile()).mode & 0o777).toBe(0o600);
  });

  it("says which secret is missing and how to set it", () => {
    const vault = new Vault(store, keyFile());
    expect(() => vault.reveal("db")).toThrow(
      expect.objectContaining({ code: "secret_missing", details: { remedy: "stackctl secret set db" } }),
    );
  });

  it("refuses a wrong key and a missing key instead of making a new one", () => {
    new Vault(store, keyFile()).write("t", "db", "value");
    writeFileSync(keyFile(), Buffer.alloc(32, 1).toString("base64"));
    expect(() => new Vault(store, keyFile()).reveal("db")).toThrow(
      expect.objectContaining({ code: "vault_key_wrong" }),
    );
    store.decide("t", { type: "cloud.created", cluster: "c", leader: "l", epoch: 1 });
    rmSync(keyFile());
    expect(() => new Vault(store, keyFile())).toThrow(expect.objectContaining({ code: "vault_key_wrong" }));
  });
});
