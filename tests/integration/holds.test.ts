import { behaviours } from "@stackctl/agent/resources/index.ts";
import type { Resource } from "@stackctl/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeFleet, type FleetWorld } from "./fleet-world.ts";
import { until } from "./world.ts";

const config = "/etc/chrony/chrony.conf";
const time = (server: string): Resource => ({
  type: "chrony",
  name: "chrony",
  spec: { servers: [server], allow: [], stepThresholdSeconds: 1 },
});
const hostsFile: Resource = {
  type: "hosts-file",
  name: "hosts",
  spec: { entries: [{ address: "10.0.0.1", names: ["a"] }] },
};

let fleet: FleetWorld;
beforeEach(async () => {
  // Whatever changes chrony asks for a permit, so that holds and permits meet.
  const { chrony } = behaviours;
  fleet = await makeFleet(
    ["a1", "a2"],
    { ...behaviours, chrony: { ...chrony, disrupts: () => "time" } },
    ({ type }) => (type === "chrony" ? "time" : null),
  );
  await fleet.apply("a1", "chrony", [time("ntp1.example")]);
  await fleet.apply("a1", "host", [hostsFile]);
});
afterEach(async () => {
  await fleet.close();
});

const isRight = (path: string): boolean =>
  fleet.host("a1").fake.contents.get(path)?.text.includes("by hand") === false;
const drifted = (): string[] =>
  fleet
    .server()
    .fleet.presence("a1")
    ?.status?.documents.flatMap((document) => document.drifted) ?? [];
const hold = async (host: string | null, service: string | null, ms: number): Promise<void> => {
  fleet.server().holds.set(host, service, Date.now() + ms, "checking a disk", "root");
  expect(await fleet.server().holds.settled(5000)).toEqual([]);
};

describe("a repair that is asked for", () => {
  it("puts back what is left alone after too many repairs, and says who asked", async () => {
    const { fake } = fleet.host("a1");
    const look = (): Promise<unknown> => fleet.server().ask("a1", { kind: "holds", revision: 0, holds: [] });
    const edit = (): void => {
      fake.files.write("/etc/hosts", "# by hand\n", 0o644);
    };
    for (let n = 0; n < 5; n++) {
      edit();
      await look();
      await until("it is put back", () => isRight("/etc/hosts"));
    }
    edit();
    await look();
    const last = (): unknown => fleet.server().store.history("a1", "hosts-file/hosts", 1)[0];
    await until("it is left alone", () => JSON.stringify(last()).includes("left alone for now"));
    expect(isRight("/etc/hosts")).toBe(false);

    const repair = { kind: "repair", service: "host", id: "hosts-file/hosts", by: "eve" } as const;
    expect(await fleet.server().ask("a1", repair)).toMatchObject({
      outcome: "changed",
      changes: [{ field: "content" }],
    });
    expect(isRight("/etc/hosts")).toBe(true);
    await until("it is told", () => JSON.stringify(last()).includes("repair asked for by eve"));
    expect(await fleet.server().ask("a1", repair)).toMatchObject({ outcome: "unchanged", changes: [] });

    await hold("a1", null, 60_000);
    expect(await fleet.server().ask("a1", repair)).toMatchObject({ outcome: "skipped", why: "it is held" });
  });
});

describe("a hold", () => {
  it("keeps a service from repair, which is reported, and leaves the others alone", async () => {
    await hold("a1", "chrony", 60_000);
    await fleet.host("a1").edit(config, "/etc/hosts");
    await until("the hosts file is right", () => isRight("/etc/hosts"));
    await until("the drift is reported", () => drifted().includes("chrony/chrony"));
    expect(isRight(config)).toBe(false);
    fleet.server().holds.release("a1", "chrony", "root");
    await until("it is put back", () => isRight(config));
    await until("nothing differs", () => drifted().length === 0);
  });

  it("ends by itself, through a restart of the agent and without a server", async () => {
    await hold(null, "chrony", 4000);
    await fleet.server().kill();
    const endsMs = Date.now() + 3500;
    await fleet.host("a1").edit(config, "/etc/hosts");
    await until("the hosts file is right", () => isRight("/etc/hosts"));
    expect(isRight(config)).toBe(false);
    await until("the permit is asked for", () => fleet.host("a1").permits().length === 1);
    expect(Date.now()).toBeGreaterThan(endsMs);
    await fleet.startServer();
    await until("it is put back", () => isRight(config));
  });

  it("keeps a document from being applied until it ends", async () => {
    await hold("a1", null, 1500);
    await fleet.server().publish("a1", "chrony", [time("ntp2.example")]);
    const held = (): boolean => fleet.server().holds.why("a1", "chrony") !== null;
    await until("it is over", () => {
      expect(!held() || fleet.outcome("a1", "chrony") === null).toBe(true);
      return !held();
    });
    await until("it is applied", () => fleet.outcome("a1", "chrony") === "changed");
  });

  it("takes a wish for a permit back, so that others need not wait for it", async () => {
    await fleet.apply("a2", "chrony", [time("ntp1.example")]);
    await fleet.host("a2").kill();
    await until("a2 is silent", () => fleet.server().fleet.presence("a2")?.state === "silent");
    await fleet.server().publish("a1", "chrony", [time("ntp2.example")]);
    await until("a1 asked", () => fleet.server().store.permits().length === 1);
    fleet.server().holds.set("a1", null, Date.now() + 60_000, "checking a disk", "root");
    await until("a1 does not want it any more", () => fleet.server().store.permits().length === 0);
  });

  it("reaches an agent that was away when it was set, and is prolonged by another", async () => {
    await fleet.host("a2").kill();
    fleet.server().holds.set("a2", null, Date.now() + 60_000, "checking a disk", "root");
    const longer = Date.now() + 120_000;
    fleet.server().holds.set("a2", null, longer, "another disk", "eve");
    fleet.server().holds.set("a2", null, Date.now() + 1000, "quick", "bob");
    expect(fleet.server().holds.views()).toMatchObject([
      { target: "a2", why: "quick", by: "bob", until: new Date(longer).toISOString() },
    ]);
    expect(fleet.server().holds.untold()).toContain("a2");
    fleet.host("a2").start();
    await until("a2 knows", () => fleet.server().holds.untold().length === 0);
  });
});
