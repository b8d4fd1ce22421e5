import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { StackctlError, type AgentStatus, type Outcome } from "@stackctl/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CompiledDocument } from "../compile/compile.ts";
import type { LoadedCloud } from "../config/model.ts";
import { Fleet } from "../fleet/fleet.ts";
import { exampleCloud } from "../testing/example-cloud.ts";
import { Store } from "../store/store.ts";
import type { Enroller } from "./enroller.ts";
import type { HostPlan, Planner } from "./planner.ts";
import type { Publisher } from "./publisher.ts";
import { Runs } from "./runs.ts";

const bootId = "8c6b2c1e-7d2a-4c7e-9f64-0d9b1f1d2a3b";
const loaded: LoadedCloud = {
  cloud: exampleCloud,
  text: "cloud: demo",
  file: "/x/cloud.yaml",
  origin: () => "cloud.yaml:1",
};
const documents: CompiledDocument[] = ["host", "chrony"].map((service) => ({
  service,
  digest: service.padEnd(64, "0"),
  needs: [],
  resources: [{ type: "hostname", name: service, spec: { hostname: "x" } }],
  origins: {},
}));
const status: AgentStatus = {
  version: "0.1.0",
  bootId,
  startedAtMs: 0,
  uptimeSeconds: 1,
  residentMiB: 1,
  doing: null,
  documents: [],
};

/** A server whose hosts answer as they are told; only the engine, its store and the presence of hosts are real. */
class World {
  readonly store: Store;
  readonly clock = { now: Date.now() };
  readonly fleet = new Fleet(60_000, () => this.clock.now);
  /** What each host's documents come to, by `host/service`; missing: it never answers. */
  readonly answers = new Map<string, Outcome>();
  /** What comes before a step, by `host/service`. */
  readonly before = new Map<string, { service: string; host: string }[]>();
  readonly published: string[] = [];
  readonly enrolments: string[] = [];
  readonly dismissed: string[] = [];
  /** What an agent does that is asked to leave: it says so at once. */
  leave: (host: string) => Promise<readonly string[]> = (host) => {
    const run = this.store.removalOf(host)?.run ?? 0;
    this.store.decide("t", { type: "host.left", run, kept: [] });
    return Promise.resolve([]);
  };
  /** What is held: `host` or `service@host`. */
  readonly holds = new Set<string>();
  enrolment: (host: string) => Promise<"unchanged" | "changed"> = () => Promise.resolve("changed");
  held: HostPlan = { state: "unreachable" };
  runs: Runs;
  #seq = 0;

  constructor(folder: string) {
    this.store = new Store(join(folder, "a.db"));
    for (const { name } of exampleCloud.hosts) {
      this.store.decide("t", {
        type: "host.enrolled",
        host: name,
        incarnation: 1,
        nkey: "U",
        eventKey: "e",
        sealKey: "s",
        release: "r",
        bootId,
        run: 0,
      });
      this.fleet.add(name, null, 0);
      this.fleet.heard(name, status);
    }
    this.runs = this.start();
  }

  /** The engine of a server that begins now, on the store as it is. */
  start(): Runs {
    const publish = (host: string, service: string, seq: number): Promise<void> => {
      this.published.push(`${host}/${service}`);
      this.answer(host, service, seq);
      return Promise.resolve();
    };
    const publisher = {
      issue: async (agent: { host: string }, document: CompiledDocument, cause: never, run: number) => {
        this.#seq += 1;
        const row = {
          host: agent.host,
          service: document.service,
          incarnation: 1,
          seq: this.#seq,
          run,
          body: { ...document, cause, sealed: [] },
        };
        this.store.decide("t", { type: "document.issued", ...row });
        await publish(agent.host, document.service, row.seq);
        return row;
      },
      publish: (agent: { host: string }, row: { service: string; seq: number }) =>
        publish(agent.host, row.service, row.seq),
    } as unknown as Publisher;
    return new Runs({
      store: this.store,
      fleet: this.fleet,
      planner: {
        compile: () => ({ documents, waiting: new Map() }),
        before: (_loaded: LoadedCloud, host: { name: string }, service: string) =>
          this.before.get(`${host.name}/${service}`) ?? [],
        planHost: () => Promise.resolve(this.held),
      } as unknown as Planner,
      publisher,
      enroller: {
        ensure: (host: { name: string }) => {
          this.enrolments.push(host.name);
          return this.enrolment(host.name);
        },
      } as unknown as Enroller,
      permits: { waiting: () => null },
      holds: {
        why: (host, service) =>
          this.holds.has(host) || this.holds.has(`${service ?? ""}@${host}`)
            ? 'held by root until 16:00, "checking a disk"'
            : null,
      },
      askToLeave: (host) => this.leave(host),
      dismiss: (host) => {
        this.dismissed.push(host);
        this.fleet.remove(host);
        this.store.forget(host);
        return Promise.resolve();
      },
      parse: () => loaded,
      log: () => undefined,
    });
  }

  /** The host's result of a document arrives, if it is told what to answer. */
  answer(host: string, service: string, seq: number): void {
    const outcome = this.answers.get(`${host}/${service}`);
    if (outcome === undefined) return;
    const resource = {
      id: `hostname/${service}`,
      outcome,
      changes: [],
      restarts: [],
      ...(outcome === "failed" ? { why: "no room" } : {}),
    };
    this.store.takeIn({ host, incarnation: 1, n: this.store.floor(host, 1) + 1 }, [], {
      host,
      service,
      incarnation: 1,
      seq,
      digest: "",
      outcome,
      seconds: 1,
      resources: [resource],
    });
    this.fleet.news(host);
  }

  apply(): number {
    return this.runs.start("aio", loaded, { kind: "run", text: "by root" }, "root").runId;
  }

  async ended(run: number): Promise<NonNullable<ReturnType<Runs["view"]>["result"]>> {
    for (let n = 0; n < 500; n++) {
      const { result } = this.runs.view(run);
      if (result !== undefined) return result;
      await pause(5);
    }
    throw new Error(`run ${String(run)} does not end: ${JSON.stringify(this.runs.view(run).steps)}`);
  }
}

let folder: string;
let world: World;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "runs-"));
  world = new World(folder);
});
afterEach(() => {
  world.store.close();
  rmSync(folder, { recursive: true });
});
const all = (outcome: Outcome): void => {
  for (const { name } of exampleCloud.hosts)
    for (const { service } of documents) world.answers.set(`${name}/${service}`, outcome);
};

describe("Runs", () => {
  it("takes every step of every host in order", async () => {
    all("changed");
    const result = await world.ended(world.apply());
    expect(result).toMatchObject({ outcome: "changed", totals: { changed: 6, failed: 0 } });
    expect(world.published.filter((name) => name.startsWith("compute1"))).toEqual([
      "compute1/host",
      "compute1/chrony",
    ]);
  });

  it("publishes nothing to hosts that hold it all, unchanged", async () => {
    const services: Extract<HostPlan, { state: "known" }>["services"] = new Map(
      documents.map(({ service }) => [
        service,
        { held: true, resources: [{ id: "x", outcome: "unchanged", changes: [], restarts: [] }] },
      ]),
    );
    world.held = { state: "known", services };
    world.enrolment = () => Promise.resolve("unchanged");
    expect(await world.ended(world.apply())).toMatchObject({ outcome: "unchanged" });
    expect(world.published).toEqual([]);
  });

  it("lets one host's failure end that host's chain only, and says after what the rest was skipped", async () => {
    all("changed");
    world.answers.set("compute1/host", "failed");
    const result = await world.ended(world.apply());
    expect(result.outcome).toBe("failed");
    const [controller, compute] = result.hosts;
    expect(controller?.outcome).toBe("changed");
    expect(compute?.services).toMatchObject([
      { name: "enrol", outcome: "changed" },
      { name: "host", outcome: "failed", why: "hostname/host: no room" },
      { name: "chrony", outcome: "skipped", why: "host failed" },
    ]);
  });

  it("takes what failed on one member on to no other, and lets one that is off hold nobody up", async () => {
    all("changed");
    world.before.set("controller1/chrony", [{ service: "chrony", host: "compute1" }]);
    world.answers.set("compute1/chrony", "failed");
    const { hosts } = await world.ended(world.apply());
    expect(hosts[0]?.services.at(-1)).toMatchObject({
      name: "chrony",
      outcome: "skipped",
      why: "chrony failed on compute1",
    });
    expect(world.published).not.toContain("controller1/chrony");

    world.answers.delete("compute1/chrony");
    const run = world.apply();
    await pause(20);
    world.clock.now += 61_000;
    world.fleet.heard("controller1", status);
    world.fleet.tick();
    const later = await world.ended(run);
    expect(later.hosts.map(({ services }) => services.at(-1)?.outcome)).toEqual(["changed", "skipped"]);
  });

  it("leaves a host out that is silent for too long, names it, and completes it on its return without a command", async () => {
    all("changed");
    world.answers.delete("compute1/chrony");
    const run = world.apply();
    await pause(20);
    world.clock.now += 61_000;
    world.fleet.heard("controller1", status);
    world.fleet.tick();
    const result = await world.ended(run);
    expect(result).toMatchObject({ outcome: "changed", totals: { failed: 0, skipped: 1 } });
    expect(result.hosts[1]).toMatchObject({
      name: "compute1",
      why: expect.stringContaining("absent: compute1 is off since") as string,
    });

    world.answers.set("compute1/chrony", "changed");
    world.fleet.heard("compute1", status);
    world.runs.hostReturned("compute1", loaded);
    const last = world.store.lastRun();
    expect(last).toMatchObject({ cause: { kind: "return", text: "compute1 returned" }, hosts: ["compute1"] });
    expect(await world.ended(last?.id ?? 0)).toMatchObject({ totals: { failed: 0, skipped: 0 } });
    expect(world.runs.owed("compute1")).toBe(false);
  });

  it("leaves out what is held and nothing else, and completes it once it is held no more", async () => {
    all("changed");
    world.holds.add("host@compute1").add("controller1");
    const result = await world.ended(world.apply());
    expect(result).toMatchObject({ outcome: "changed", totals: { failed: 0, skipped: 4 } });
    expect(world.published).toEqual(["compute1/chrony"]);
    expect(world.enrolments).toEqual(["compute1"]);
    expect(result.hosts.map(({ why }) => why)).toEqual(
      Array(2).fill('held by root until 16:00, "checking a disk"'),
    );
    for (const { name } of exampleCloud.hosts) world.runs.hostReturned(name, loaded);
    expect(world.store.lastRun()?.id).toBe(1);

    world.holds.clear();
    world.runs.hostReturned("compute1", loaded);
    const last = world.store.lastRun();
    expect(last).toMatchObject({ cause: { kind: "return", text: "host of compute1 held no more" } });
    expect(await world.ended(last?.id ?? 0)).toMatchObject({ totals: { failed: 0, skipped: 0 } });
    expect(world.runs.owed("compute1")).toBe(false);
    expect(world.runs.owed("controller1")).toBe(true);
  });

  it("ends a step that waits for a host once that is held", async () => {
    all("changed");
    world.answers.delete("compute1/chrony");
    const run = world.apply();
    await pause(20);
    world.holds.add("chrony@compute1");
    world.fleet.news("compute1");
    expect(await world.ended(run)).toMatchObject({ totals: { failed: 0, skipped: 1 } });
  });

  it("goes on after a kill with the very document that it had issued", async () => {
    all("changed");
    world.answers.delete("compute1/host");
    const run = world.apply();
    await pause(20);
    world.runs.stop();
    const issued = world.store.document("compute1", "host");

    world.runs = world.start();
    world.answers.set("compute1/host", "changed");
    world.runs.resume();
    const result = await world.ended(run);
    expect(result).toMatchObject({ outcome: "changed", totals: { changed: 6, failed: 0 } });
    expect(world.store.document("compute1", "host")?.seq).toBe(issued?.seq);
    expect(world.enrolments.filter((name) => name === "compute1")).toHaveLength(1);
  });

  it("joins the same run that is under way and refuses another of the same hosts", async () => {
    const run = world.apply();
    expect(world.runs.start("aio", loaded, { kind: "run", text: "by root" }, "root")).toEqual({
      runId: run,
      joined: true,
    });
    expect(() => world.runs.start(["compute1"], loaded, { kind: "run", text: "by root" }, "root")).toThrow(
      expect.objectContaining({ code: "server_busy" }),
    );
    expect(() => world.runs.start(["compute9"], loaded, { kind: "run", text: "by root" }, "root")).toThrow(
      expect.objectContaining({ code: "host_unknown" }),
    );
    world.runs.stop();
    await pause(5);
  });

  describe("a removal", () => {
    const without: LoadedCloud = {
      ...loaded,
      cloud: { ...exampleCloud, hosts: exampleCloud.hosts.filter(({ name }) => name !== "compute1") },
    };
    const start = (): number => world.runs.remove("compute1", without, "root").runId;
    const steps = async (run: number): Promise<unknown[]> => {
      const { hosts } = await world.ended(run);
      return hosts[0]?.services.map(({ name, outcome }) => `${name} ${outcome}`) ?? [];
    };
    beforeEach(async () => {
      all("changed");
      await world.ended(world.apply());
      world.published.length = 0;
    });

    it("takes the services away, last first, then the agent, and forgets the host", async () => {
      expect(await steps(start())).toEqual([
        "chrony changed",
        "host changed",
        "agent changed",
        "forget changed",
      ]);
      expect(world.published).toEqual(["compute1/chrony", "compute1/host"]);
      expect(world.store.agent("compute1")).toBeNull();
      expect(world.store.documents("compute1")).toEqual([]);
      expect(world.store.formerHosts()).toEqual([{ host: "compute1", run: 2 }]);
      // Enrolled anew it is another one, and nothing of before is owed to it.
      expect(world.store.lastIncarnation("compute1")).toBe(1);
      expect(world.store.lastSteps("compute1")).toEqual([]);
      expect(world.dismissed).toEqual(["compute1"]);
    });

    it("lets a host go that is off for good, and says what is left on its disk", async () => {
      world.clock.now += 61_000;
      world.fleet.tick();
      const run = start();
      expect(await steps(run)).toEqual(["chrony skipped", "host skipped", "agent skipped", "forget changed"]);
      expect(world.published).toEqual([]);
      expect((await world.ended(run)).hosts[0]?.services.at(-1)?.why).toBe(
        "compute1 was forgotten without its agent; on its disk is still chrony, host",
      );
      expect(world.store.agent("compute1")).toBeNull();
    });

    it("ends before the host is forgotten when something could not be taken away, and may be told again", async () => {
      world.answers.set("compute1/host", "failed");
      expect(await steps(start())).toEqual([
        "chrony changed",
        "host failed",
        "agent skipped",
        "forget skipped",
      ]);
      expect(world.store.agent("compute1")).not.toBeNull();
      world.answers.set("compute1/host", "changed");
      expect(await steps(start())).toEqual(["host changed", "agent changed", "forget changed"]);
    });

    it("first takes away what the agent says is still there", async () => {
      const { leave } = world;
      world.answers.set("compute1/memcached", "changed");
      world.leave = (host) => {
        world.leave = leave;
        expect(host).toBe("compute1");
        return Promise.resolve(["memcached"]);
      };
      expect((await steps(start())).at(-1)).toBe("forget changed");
      expect(world.published.at(-1)).toBe("compute1/memcached");
    });

    it.each(["chrony", "agent", "forget"])(
      "goes on after a kill at %s, and is joined meanwhile",
      async (where) => {
        const killed = Promise.withResolvers<undefined>();
        const { leave } = world;
        if (where === "chrony") world.answers.delete("compute1/chrony");
        else
          world.leave = async (host) => {
            if (where === "forget") await leave(host);
            killed.resolve(undefined);
            return [];
          };
        const run = start();
        expect(world.runs.remove("compute1", without, "root")).toEqual({ runId: run, joined: true });
        if (where === "chrony") await pause(20);
        else await killed.promise;
        world.runs.stop();
        world.fleet.news("compute1");
        await pause(20);
        world.leave = leave;
        world.answers.set("compute1/chrony", "changed");
        world.runs = world.start();
        world.runs.resume();
        expect(await steps(run)).toEqual([
          "chrony changed",
          "host changed",
          "agent changed",
          "forget changed",
        ]);
        expect(world.store.agent("compute1")).toBeNull();
      },
    );
  });

  it("tells why a host could not be enrolled, with what to do, and goes on with the others", async () => {
    all("changed");
    world.enrolment = (host) =>
      host === "compute1"
        ? Promise.reject(
            new StackctlError("ssh_auth_failed", "compute1 lets root not in", {
              details: { remedy: "mend ssh.privateKey" },
            }),
          )
        : Promise.resolve("changed");
    const result = await world.ended(world.apply());
    expect(result.hosts[1]).toMatchObject({
      outcome: "failed",
      why: "compute1 lets root not in; mend ssh.privateKey",
    });
    expect(result.hosts[0]).toMatchObject({ outcome: "changed" });
  });
});
