import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { targetFrom } from "../api/target.ts";
import { Store } from "../store/store.ts";
import { exampleCloud } from "../testing/example-cloud.ts";
import { Fleet } from "./fleet.ts";
import { Holds } from "./holds.ts";

let folder: string;
let store: Store;
let holds: Holds;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holds-"));
  store = new Store(join(folder, "a.db"));
  holds = new Holds({
    store,
    fleet: new Fleet(60_000),
    questions: { ask: () => Promise.reject(new Error("nobody is asked")) },
    needs: (service) => ({ chrony: ["host"], reboot: ["chrony"] })[service] ?? [],
    log: () => undefined,
  });
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});
const later = (): number => Date.now() + 3_600_000;

describe("Holds", () => {
  it("says why a service is left out: it, its host, or what it needs is held", () => {
    expect(holds.why("h1", "chrony")).toBeNull();
    holds.set("h1", "chrony", later(), "checking a disk", "root");
    expect(holds.why("h1", "chrony")).toMatch(/^held by root until [\d: -]+, "checking a disk"$/);
    expect(holds.why("h1", "reboot")).toMatch(/^held: it needs chrony, held by root until /);
    expect(holds.why("h1", "host")).toBeNull();
    expect(holds.why("h1", null)).toBeNull();
    expect(holds.why("h2", "chrony")).toBeNull();
    holds.set("h2", null, later(), "x", "root");
    expect(holds.why("h2", null)).toMatch(/^held by root/);
    expect(holds.why("h2", "host")).toMatch(/^held by root/);
  });

  it("holds a service on every host", () => {
    holds.set(null, "host", later(), "x", "root");
    expect(holds.why("h9", "reboot")).toMatch(/^held: it needs host/);
    expect(holds.views()).toMatchObject([{ target: "host", host: null }]);
  });

  it("is over when its time is", () => {
    holds.set("h1", null, Date.now() - 1, "x", "root");
    expect(holds.views()).toEqual([]);
    expect(holds.why("h1", null)).toBeNull();
  });

  it("ends only what is held, and says what that is", () => {
    holds.set("h1", "chrony", later(), "x", "root");
    expect(() => holds.release("h1", null, "root")).toThrow(
      expect.objectContaining({
        code: "hold_unknown",
        details: { found: "held: chrony@h1", remedy: "stackctl release chrony@h1" },
      }),
    );
    expect(holds.release("h1", "chrony", "root")).toMatchObject({ target: "chrony@h1" });
    expect(holds.views()).toEqual([]);
  });
});

describe("targetFrom", () => {
  const of = (word: string): unknown => targetFrom(word, exampleCloud, store, ["host", "chrony"]);

  it("knows hosts, services and services of a host", () => {
    expect(of("compute1")).toEqual({ host: "compute1", service: null });
    expect(of("chrony")).toEqual({ host: null, service: "chrony" });
    expect(of("chrony@compute1")).toEqual({ host: "compute1", service: "chrony" });
  });

  it.each([
    ["compute9", "host_unknown", "compute9 is neither a host nor a service"],
    ["chrony@compute9", "host_unknown", "there is no host compute9"],
    ["mariadb@compute1", "service_unknown", "there is no service mariadb"],
  ])("refuses %s", (word, code, message) => {
    expect(() => of(word)).toThrow(expect.objectContaining({ code, message }));
  });
});
