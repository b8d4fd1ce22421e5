import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { applyDecision, decisionTableNames, decisionTables, type Decision } from "./changes.ts";
import { Store } from "./store.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "store-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const someDecisions: readonly Decision[] = [
  { type: "cloud.created", cluster: "c", leader: "l", epoch: 1 },
  { type: "secret.written", name: "a", version: 1, box: "x" },
  { type: "host.pinned", host: "h1", fingerprint: "SHA256:x" },
  {
    type: "host.enrolled",
    host: "h1",
    incarnation: 1,
    nkey: "U",
    eventKey: "e",
    sealKey: "s",
    release: "r",
    bootId: "b",
    run: 1,
  },
  { type: "host.pushed", host: "h1", release: "r2", run: 1 },
  { type: "reboot.ordered", host: "h1", notBootId: "b" },
  {
    type: "run.started",
    scope: "aio",
    hosts: ["h1"],
    cloudText: "cloud: x",
    cause: { kind: "run", text: "by root" },
  },
  {
    type: "document.issued",
    host: "h1",
    service: "host",
    incarnation: 1,
    seq: 7,
    run: 1,
    body: {
      service: "host",
      digest: "d",
      needs: [],
      resources: [],
      sealed: [],
      origins: {},
      cause: { kind: "run", text: "x" },
    },
  },
  {
    type: "step.ended",
    run: 1,
    host: "h1",
    service: "host",
    outcome: "changed",
    why: null,
    resources: [],
    seconds: 1,
  },
  { type: "galera.looked", host: "h1", found: "{}" },
  { type: "galera.born", uuid: "u" },
  { type: "ring.set", ring: "fernet", generation: 1, keys: { 0: 2, 1: 1 } },
  { type: "run.ended", run: 1, seconds: 2 },
  { type: "host.key-forgotten", host: "h1" },
  { type: "registry.moved", host: "h1" },
  { type: "image.built", name: "base", recipe: "r", id: "sha256:i", digest: null, sizeBytes: 5 },
  { type: "permit.wanted", wish: "w1", cluster: "c", host: "h1", service: "s", resource: "a/b" },
  { type: "permit.given", wish: "w1" },
  { type: "permit.wanted", wish: "w2", cluster: "c", host: "h2", service: "s", resource: "a/b" },
  { type: "permit.returned", wish: "w1" },
  { type: "permit.given", wish: "w2" },
  { type: "hold.set", host: "h1", service: null, until: "2026-01-01T00:00:00.000Z", why: "disk", by: "root" },
  { type: "hold.set", host: null, service: "s", until: "2026-01-01T00:00:00.000Z", why: "disk", by: "root" },
  { type: "hold.released", host: "h1", service: null },
  { type: "removal.started", host: "h1", cloudText: "cloud: x", cause: { kind: "removal", text: "by root" } },
  { type: "host.left", run: 2, kept: ["directory/data: /srv"] },
  { type: "host.removed", host: "h1", run: 2 },
];

describe("Store", () => {
  it("rebuilds every table from the log alone", () => {
    const store = new Store(join(folder, "a.db"));
    for (const decision of someDecisions) store.decide("test", decision);
    const fresh = new DatabaseSync(":memory:");
    fresh.exec(decisionTables);
    for (const { at, decision } of store.log()) applyDecision(fresh, at, decision);
    for (const table of decisionTableNames) {
      expect(fresh.prepare(`SELECT * FROM "${table}" ORDER BY 1, 2`).all(), table).toEqual(store.dump(table));
    }
    expect(store.lastSeq()).toBe(7);
    store.close();
  });

  it("lets only one server open it", () => {
    const store = new Store(join(folder, "a.db"));
    expect(() => new Store(join(folder, "a.db"))).toThrow(expect.objectContaining({ code: "store_locked" }));
    store.close();
    new Store(join(folder, "a.db")).close();
  });

  it("keeps nothing of a decision that could not be applied", () => {
    const store = new Store(join(folder, "a.db"));
    store.decide("test", { type: "secret.written", name: "a", version: 1, box: "x" });
    expect(() => store.decide("test", { type: "secret.written", name: "a", version: 1, box: "y" })).toThrow();
    expect(store.log()).toHaveLength(1);
    expect(store.secret("a")).toEqual({ version: 1, box: "x" });
    store.close();
  });

  it("takes in an event's rows and its floor together", () => {
    const store = new Store(join(folder, "a.db"));
    const event = {
      at: "2026-01-01T00:00:00.000Z",
      host: "h1",
      service: null,
      resource: "a/b",
      type: "resource.drifted",
      text: "t",
      run: null,
    };
    store.takeIn({ host: "h1", incarnation: 1, n: 5 }, [event], null);
    expect(store.floor("h1", 1)).toBe(5);
    expect(store.floor("h1", 2)).toBe(0);
    expect(store.changeCount("h1")).toBe(1);
    expect(store.history("h1", "a/b", 10)).toHaveLength(1);
    store.close();
  });
});
