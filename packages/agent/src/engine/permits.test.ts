import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AgentEvent } from "@stackctl/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Permits } from "./permits.ts";
import { AgentState } from "./state.ts";

let folder: string;
let said: AgentEvent[];
let now: number;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "permits-"));
  said = [];
  now = 1_000_000;
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** The permits of an agent that begins now, on what is on its disk. */
function life(): Permits {
  return new Permits(
    new AgentState(folder),
    (event) => said.push(event),
    () => now,
  );
}
const wish = (): string => {
  const event = said.findLast(({ type }) => type === "permit.wanted");
  if (event?.type !== "permit.wanted") throw new Error("nothing was wanted");
  return event.wish;
};
const types = (): string[] => said.map(({ type }) => type);

describe("Permits", () => {
  it("asks once and goes on only with the server's leave", () => {
    const permits = life();
    expect(permits.leave("docker", "docker", "a/b")).toBe(false);
    expect(permits.leave("docker", "docker", "a/b")).toBe(false);
    expect(types()).toEqual(["permit.wanted"]);
    expect(permits.take(wish(), now + 1000)).toMatchObject({ service: "docker", id: "a/b" });
    expect(permits.leave("docker", "docker", "a/b")).toBe(true);
    permits.done("docker", "a/b");
    expect(types()).toEqual(["permit.wanted", "permit.returned"]);
    expect(permits.leave("docker", "docker", "a/b")).toBe(false);
  });

  it("takes no permit for a wish that is over, however late it comes", () => {
    const permits = life();
    permits.leave("docker", "docker", "a/b");
    const old = wish();
    permits.done("docker", "a/b");
    permits.leave("docker", "docker", "a/b");
    expect(permits.take(old, now + 1000)).toBeNull();
    expect(permits.leave("docker", "docker", "a/b")).toBe(false);
  });

  it("finds after a kill what it had: a permit that was begun, however long ago", () => {
    const before = life();
    before.leave("docker", "docker", "a/b");
    before.take(wish(), now + 1000);
    expect(before.leave("docker", "docker", "a/b")).toBe(true);
    now += 3_600_000;
    const after = life();
    after.expire();
    expect(after.leave("docker", "docker", "a/b")).toBe(true);
  });

  it("begins nothing with a permit that is too old, but asks anew", () => {
    const permits = life();
    permits.leave("docker", "docker", "a/b");
    const old = wish();
    permits.take(old, now + 1000);
    now += 1001;
    expect(permits.leave("docker", "docker", "a/b")).toBe(false);
    expect(types()).toEqual(["permit.wanted", "permit.returned", "permit.wanted"]);
    expect(wish()).not.toBe(old);
  });

  it("tells again after a kill what the server may not have heard", () => {
    life().leave("docker", "docker", "a/b");
    said = [];
    life().remind();
    expect(types()).toEqual(["permit.wanted"]);

    // Killed after the return was written down, before it was told.
    const state = new AgentState(folder);
    state.keepPermits(state.permits().map((permit) => ({ ...permit, state: "returned" as const })));
    said = [];
    const after = life();
    expect(after.take(state.permits()[0]?.wish ?? "", now + 1000)).toBeNull();
    after.remind();
    expect(types()).toEqual(["permit.returned"]);
    expect(new AgentState(folder).permits()).toEqual([]);
  });
});
