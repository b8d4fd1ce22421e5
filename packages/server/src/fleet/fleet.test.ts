import type { AgentStatus } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import { Fleet, silentAfterMs, type PresenceChange } from "./fleet.ts";

const bootA = "8c6b2c1e-7d2a-4c7e-9f64-0d9b1f1d2a3a";
const bootB = "8c6b2c1e-7d2a-4c7e-9f64-0d9b1f1d2a3b";
const status = (bootId: string): AgentStatus => ({
  version: "0.1.0",
  bootId,
  startedAtMs: 0,
  uptimeSeconds: 1,
  residentMiB: 50,
  doing: null,
  documents: [],
});

function fleetAt(): { fleet: Fleet; clock: { now: number }; changes: PresenceChange[] } {
  const clock = { now: 1_000_000 };
  const fleet = new Fleet(60_000, () => clock.now);
  const changes: PresenceChange[] = [];
  fleet.onChange((change) => changes.push(change));
  fleet.add("h1", null, 0);
  return { fleet, clock, changes };
}

describe("Fleet", () => {
  it("calls a host silent after three missed heartbeats, absent later, and back at once", () => {
    const { fleet, clock, changes } = fleetAt();
    fleet.heard("h1", status(bootA));
    clock.now += silentAfterMs;
    fleet.tick();
    expect(fleet.presence("h1")).toMatchObject({ state: "silent", sinceMs: 1_000_000 });
    clock.now += 60_000;
    fleet.tick();
    expect(fleet.presence("h1")).toMatchObject({ state: "absent", sinceMs: 1_000_000 });
    fleet.heard("h1", status(bootA));
    expect(changes.map(({ to }) => to)).toEqual(["ok", "silent", "absent", "ok"]);
  });

  it("counts silence only from when it began to listen", () => {
    const { fleet, clock } = fleetAt();
    clock.now += 59_000;
    fleet.tick();
    expect(fleet.presence("h1")?.state).toBe("silent");
    clock.now += 1_000;
    fleet.tick();
    expect(fleet.presence("h1")?.state).toBe("absent");
  });

  it("takes no last word of the old boot for the return from a reboot", () => {
    const { fleet } = fleetAt();
    fleet.heard("h1", status(bootA));
    fleet.rebooting("h1");
    fleet.heard("h1", status(bootA));
    expect(fleet.presence("h1")?.state).toBe("rebooting");
    fleet.heard("h1", status(bootB));
    expect(fleet.presence("h1")?.state).toBe("ok");
  });

  it("gives up on a reboot that does not end", () => {
    const { fleet, clock } = fleetAt();
    fleet.heard("h1", status(bootA));
    fleet.rebooting("h1");
    clock.now += 60_000;
    fleet.tick();
    expect(fleet.presence("h1")?.state).toBe("absent");
  });
});
