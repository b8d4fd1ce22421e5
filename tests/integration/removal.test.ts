import { jetstreamManager } from "@nats-io/jetstream";
import { behaviours } from "@stackctl/agent/resources/index.ts";
import { streams, subjects, type Resource } from "@stackctl/protocol";
import { afterEach, describe, expect, it } from "vitest";
import { makeFleet, type FleetWorld } from "./fleet-world.ts";
import { bytes, makeWorld, newUser, until, type World } from "./world.ts";

const open: { close: () => Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

describe("a host that is let go", () => {
  const world = async (): Promise<World> => {
    const made = await makeWorld(["a1", "a2"]);
    open.push(made);
    return made;
  };
  const without = ({ options }: World, host: string): World["options"]["agents"] =>
    options.agents.filter((agent) => agent.host !== host);

  it("is cut off at once, is refused with the key that it has, and nothing of it stays; the others notice nothing", async () => {
    const { nats, bus, rawAgent, rawServer, ...rest } = await world();
    await bus.publishDocument("a1", "chrony", bytes("a document"));
    await bus.publishDocument("a2", "chrony", bytes("another"));
    const gone = await rawAgent("a1");
    const stays = await rawAgent("a2");
    await gone.request(subjects.result("a1"), bytes("an event"), { timeout: 5000 });
    await stays.request(subjects.result("a2"), bytes("an event"), { timeout: 5000 });

    await nats.reload(without({ nats, bus, rawAgent, rawServer, ...rest }, "a1"));
    await bus.forgetHost("a1");
    await until("it is cut off", () => gone.isClosed(), 5000);
    expect(stays.isClosed()).toBe(false);
    await expect(rawAgent("a1")).rejects.toThrow(/authori[sz]ation/i);

    const manager = await jetstreamManager(await rawServer());
    const kept = async (stream: string): Promise<string[]> =>
      Object.keys((await manager.streams.info(stream, { subjects_filter: ">" })).state.subjects ?? {});
    expect(await kept(streams.documents)).toEqual([subjects.document("a2", "chrony")]);
    expect(await kept(streams.events)).toEqual([subjects.result("a2")]);
    await expect(manager.consumers.info(streams.documents, "a1")).rejects.toThrow();
    // Killed in the middle, the server does it again.
    await bus.forgetHost("a1");
  });

  it("is let in again with a new key, and still not with the old one", async () => {
    const made = await world();
    const { nats, bus, rawAgent, raw } = made;
    await nats.reload(without(made, "a1"));
    await bus.forgetHost("a1");
    const user = newUser();
    await nats.reload([...without(made, "a1"), { host: "a1", nkey: user.nkey }]);
    await bus.ensureConsumer("a1", true);
    const anew = await raw(user, subjects.agentInbox("a1"));
    const stored = await anew.request(subjects.result("a1"), bytes("an event"), { timeout: 5000 });
    expect(stored.json()).toMatchObject({ stream: streams.events });
    await expect(rawAgent("a1")).rejects.toThrow(/authori[sz]ation/i);
  });
});

describe("an agent that is asked to leave", () => {
  const time: Resource = {
    type: "chrony",
    name: "chrony",
    spec: { servers: ["ntp.example"], allow: [], stepThresholdSeconds: 1 },
  };
  let fleet: FleetWorld;
  const removal = (): readonly string[] | null | undefined => fleet.server().store.removalOf("a1")?.kept;
  const left = (): boolean => fleet.host("a1").fake.mutations.includes("system.leave");
  const begin = async (): Promise<void> => {
    fleet = await makeFleet(["a1"], behaviours, () => null);
    open.push(fleet);
    await fleet.apply("a1", "chrony", [time]);
    const cause = { kind: "removal", text: "removal by a test" } as const;
    fleet.server().store.decide("t", { type: "removal.started", host: "a1", cloudText: "", cause });
  };

  it("stays while something of the cloud is there, says what, and goes once the server has heard of it", async () => {
    await begin();
    expect(await fleet.server().ask("a1", { kind: "leave" })).toEqual({ left: ["chrony"] });
    expect(await fleet.apply("a1", "chrony", [])).toBe("changed");
    expect(removal()).toBeNull();
    expect(await fleet.server().ask("a1", { kind: "leave" })).toEqual({ left: [] });
    await until("the server has heard of it", () => removal() !== null);
    expect(removal()).toEqual([]);
    await until("it takes itself away", left);
  });

  it("goes also when it is killed in between, and touches nothing any more", async () => {
    await begin();
    await fleet.apply("a1", "chrony", []);
    await fleet.server().ask("a1", { kind: "leave" });
    await until("the server has heard of it", () => removal() !== null);
    await fleet.host("a1").kill();
    fleet.host("a1").fake.mutations.length = 0;
    fleet.host("a1").start();
    await until("it takes itself away", left);
    expect(fleet.host("a1").fake.mutations).toEqual(["system.leave"]);
  });
});
