import type { Behaviours } from "@stackctl/agent/engine/converge.ts";
import { behaviours } from "@stackctl/agent/resources/index.ts";
import type { Resource } from "@stackctl/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeFleet, type FleetWorld } from "./fleet-world.ts";
import { until } from "./world.ts";

const names = ["a1", "a2", "a3"];
const config = "/etc/chrony/chrony.conf";

/** Who is down by our hand now, and the most that ever were at once. */
let down: Set<string>;
let most: number;
/** Holds a member down until the test lets it up. */
let gate: (() => Promise<void>) | null;
let fleet: FleetWorld;

/** Members of the cluster `time`: chrony goes down while it is applied, for as long as the test wants. */
function membersOfTime(): Behaviours {
  const { chrony } = behaviours;
  return {
    ...behaviours,
    chrony: {
      ...chrony,
      disrupts: (_spec, changes) =>
        changes !== "removal" && changes.some(({ field }) => field === "installed") ? null : "time",
      apply: async (context, spec, changes, name) => {
        const who = context.host.system.hostname();
        const disrupts = !changes.some(({ field }) => field === "installed");
        if (disrupts) {
          down.add(who);
          most = Math.max(most, down.size);
          await gate?.();
        }
        await chrony.apply(context, spec, changes, name);
        down.delete(who);
      },
    },
  };
}

const time = (...servers: string[]): Resource => ({
  type: "chrony",
  name: "chrony",
  spec: { servers, allow: [], stepThresholdSeconds: 1 },
});
const hostsFile = (name: string): Resource => ({
  type: "hosts-file",
  name: "hosts",
  spec: { entries: [{ address: "10.0.0.1", names: [name] }] },
});
const edit = (name: string, ...paths: string[]): Promise<void> => fleet.host(name).edit(...paths);
const isRight = (name: string): boolean =>
  fleet.host(name).fake.contents.get(config)?.text.includes("ntp") === true;
const events = (type: string): string[] =>
  fleet
    .server()
    .store.events(null, 500)
    .filter((event) => event.type === type)
    .map(({ host }) => host ?? "");

beforeEach(async () => {
  down = new Set();
  most = 0;
  gate = null;
  fleet = await makeFleet(names, membersOfTime(), ({ type }) => (type === "chrony" ? "time" : null));
  for (const name of names) fleet.host(name).fake.liveHostname = name;
  for (const name of names) {
    expect(await fleet.apply(name, "chrony", [time("ntp1.example")])).toBe("changed");
    expect(await fleet.apply(name, "host", [hostsFile("a")])).toBe("changed");
  }
});
afterEach(async () => {
  await fleet.close();
});

describe("permits", () => {
  it("are not needed to make what was never there", () => {
    expect(events("permit.wanted")).toEqual([]);
  });

  it("let one member after the other down, in a run as in a repair, in the order of asking", async () => {
    const letUp = Promise.withResolvers<undefined>();
    gate = () => letUp.promise;
    await fleet.server().publish("a1", "chrony", [time("ntp2.example")]);
    await until("a1 is down", () => down.has("a1"));
    await edit("a2", config);
    await until("a2 asked", () => events("permit.wanted").includes("a2"));
    await fleet.server().publish("a3", "chrony", [time("ntp2.example")]);
    await until("a3 asked", () => events("permit.wanted").includes("a3"));
    // Who waits goes on with all else, and says what it waits for.
    expect(await fleet.apply("a3", "host", [hostsFile("c")])).toBe("changed");
    expect(fleet.outcome("a3", "chrony")).toBeNull();
    expect(fleet.server().permits.waiting("a3")).toMatch(
      /^waits for the permit of time: a1 has it since \d\d:\d\d:\d\d$/,
    );
    expect([...down]).toEqual(["a1"]);
    letUp.resolve(undefined);
    await until("all are right", () => names.every(isRight) && fleet.outcome("a3", "chrony") === "changed");
    await until("all gave it back", () => events("permit.returned").length === 3);
    expect(most).toBe(1);
    expect(events("permit.given")).toEqual(["a1", "a2", "a3"]);
  });

  it("are found again by a killed holder and by a killed server", async () => {
    gate = () => new Promise(() => undefined);
    await fleet.server().publish("a1", "chrony", [time("ntp2.example")]);
    await until("a1 is down", () => down.has("a1"));
    await fleet.server().publish("a2", "chrony", [time("ntp2.example")]);
    await until("a2 asked", () => events("permit.wanted").includes("a2"));
    await fleet.server().kill();
    await fleet.host("a1").kill();
    gate = null;
    await fleet.startServer();
    await until("the others are there", () => fleet.server().fleet.presence("a2")?.state === "ok");
    // Whatever the others would like: its holder did not give it back.
    expect(fleet.server().permits.waiting("a2")).toContain("a1 has it since");
    expect(isRight("a2") && fleet.outcome("a2", "chrony") === null).toBe(true);
    fleet.host("a1").start();
    await until("both are right", () =>
      ["a1", "a2"].every((name) => fleet.outcome(name, "chrony") === "changed"),
    );
    expect(most).toBe(1);
    await until("both gave it back", () => fleet.server().store.permits().length === 0);
  });

  it("are waited for by an agent that is cut off, which repairs all else", async () => {
    await fleet.server().kill();
    await edit("a1", config, "/etc/hosts");
    await until(
      "the hosts file is right",
      () => fleet.host("a1").fake.contents.get("/etc/hosts")?.text.includes("10.0.0.1") === true,
    );
    await until("the permit is asked for", () =>
      fleet
        .host("a1")
        .permits()
        .some(({ state }) => state === "wanted"),
    );
    expect(isRight("a1")).toBe(false);
    expect(most).toBe(0);
    await fleet.startServer();
    await until("a1 is right", () => isRight("a1"));
    expect(events("resource.drifted")).toEqual(["a1", "a1"]);
    expect(most).toBe(1);
  });

  it("are not given while a member is away, whatever the time", async () => {
    await fleet.host("a3").kill();
    await until("a3 is silent", () => fleet.server().fleet.presence("a3")?.state === "silent");
    await edit("a1", config);
    await until("a1 asked", () => events("permit.wanted").includes("a1"));
    expect(fleet.server().permits.waiting("a1")).toMatch(/^waits for the permit of time: a3 is off since /);
    await fleet.server().kill();
    await fleet.startServer();
    await until("a1 is there", () => fleet.server().fleet.presence("a1")?.state === "ok");
    expect(isRight("a1")).toBe(false);
    fleet.host("a3").start();
    await until("a1 is right", () => isRight("a1"));
    expect(events("permit.given")).toEqual(["a1"]);
  });
});
