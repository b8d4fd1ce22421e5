import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resourceSchema, type Resource } from "@stackctl/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { behaviours } from "../resources/index.ts";
import { FakeHost } from "../testing/fake-host.ts";
import { applyDocument, keptOf, planDocument } from "./apply-document.ts";
import type { Behaviours } from "./converge.ts";
import type { Context } from "./resource.ts";
import { AgentState, setAside, type Ledger } from "./state.ts";

let folder: string;
let host: FakeHost;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "engine-"));
  host = new FakeHost();
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** No cluster is anybody's business here. */
const noPermits = { leave: () => true, done: () => undefined };
const context = (on: FakeHost): Context => ({
  host: on,
  reveal: () => "secret",
  goingDown: () => Promise.resolve(),
  doing: () => undefined,
});
const resources: Resource[] = [
  { type: "hostname", name: "hostname", spec: { hostname: "compute1" } },
  { type: "hosts-file", name: "hosts", spec: { entries: [{ address: "10.0.0.1", names: ["a"] }] } },
  {
    type: "chrony",
    name: "chrony",
    spec: { servers: ["ntp.example.org"], allow: [], stepThresholdSeconds: 1 },
  },
];
const document = { service: "all", resources };
const outcomes = (ledger: Ledger): string[] => ledger.done.map(({ id, outcome }) => `${id} ${outcome}`);

/** The state of an agent that dies with its host's crash: from then on nothing of it reaches the disk any more. */
class MortalState extends AgentState {
  readonly #host: FakeHost;

  constructor(where: string, on: FakeHost) {
    super(where);
    this.#host = on;
  }

  override keepLedger(service: string, ledger: Ledger): void {
    try {
      this.#host.system.bootId();
    } catch {
      return;
    }
    super.keepLedger(service, ledger);
  }
}

/** One life of the agent: begins from what is on disk, as after a kill. */
async function life(
  on: FakeHost,
  wanted: { service: string; resources: Resource[] },
  seq: number,
): Promise<Ledger> {
  const state = new AgentState(folder);
  const ledger = await applyDocument(behaviours, state, wanted, seq, context(on), noPermits);
  state.keepLedger(wanted.service, ledger);
  return ledger;
}

describe("applyDocument", () => {
  it("reports the same after a kill at any change of the host as without one", async () => {
    const reference = outcomes(await life(new FakeHost(), document, 1));
    expect(reference.every((line) => line.endsWith(" changed"))).toBe(true);
    rmSync(folder, { recursive: true });
    folder = mkdtempSync(join(tmpdir(), "engine-"));

    const clean = new FakeHost();
    await life(clean, document, 1);
    for (let n = 1; n <= clean.mutations.length; n++) {
      rmSync(folder, { recursive: true });
      folder = mkdtempSync(join(tmpdir(), "engine-"));
      const killed = new FakeHost();
      killed.crashAfter(n);
      await applyDocument(
        behaviours,
        new MortalState(folder, killed),
        document,
        1,
        context(killed),
        noPermits,
      );
      killed.recover();
      const ledger = await life(killed, document, 1);
      expect(outcomes(ledger), `killed at change ${String(n)}`).toEqual(reference);
      expect(killed.snapshot(), `killed at change ${String(n)}`).toEqual(clean.snapshot());
    }
  });

  it("changes nothing the second time", async () => {
    await life(host, document, 1);
    const before = host.mutations.length;
    const ledger = await life(host, document, 2);
    expect(ledger.outcome).toBe("unchanged");
    expect(host.mutations).toHaveLength(before);
  });

  it("takes away what its successor does not name, last made first", async () => {
    await life(host, document, 1);
    const ledger = await life(host, { service: "all", resources: resources.slice(0, 1) }, 2);
    expect(outcomes(ledger)).toEqual([
      "hostname/hostname unchanged",
      "chrony/chrony changed",
      "hosts-file/hosts changed",
    ]);
    expect(host.packages.installed("chrony")).toBeNull();
    expect(host.files.read("/etc/chrony/chrony.conf")).toBeNull();
    expect(outcomes(await life(host, { service: "all", resources: resources.slice(0, 1) }, 3))).toEqual([
      "hostname/hostname unchanged",
    ]);
  });

  it("skips what follows a failure and says after what", async () => {
    host.mirror.clear();
    const ledger = await life(
      host,
      { service: "all", resources: [resources[2] as Resource, resources[0] as Resource] },
      1,
    );
    expect(ledger.outcome).toBe("failed");
    expect(ledger.done[1]).toMatchObject({
      id: "hostname/hostname",
      outcome: "skipped",
      why: "chrony/chrony failed",
    });
  });

  it("tries everything again when a failed document is given again", async () => {
    const mirror = [...host.mirror];
    host.mirror.clear();
    await life(host, document, 1);
    for (const [name, each] of mirror) host.mirror.set(name, each);
    const ledger = await life(host, document, 1);
    expect(ledger.outcome).toBe("changed");
  });

  it("tries everything again when a failed document is tried again without its end being kept", async () => {
    const state = new AgentState(folder);
    const mirror = [...host.mirror];
    host.mirror.clear();
    const apply = (): Promise<Ledger> =>
      applyDocument(behaviours, state, document, 1, context(host), noPermits);
    expect((await apply()).outcome).toBe("failed");
    for (const [name, each] of mirror) host.mirror.set(name, each);
    expect((await apply()).outcome).toBe("changed");
  });

  it("writes its state once for each resource that it changes, and not for those that it does not", async () => {
    let writes = 0;
    class Counted extends AgentState {
      override keepLedger(service: string, ledger: Ledger): void {
        writes++;
        super.keepLedger(service, ledger);
      }
    }
    const state = new Counted(folder);
    state.keepLedger("all", await applyDocument(behaviours, state, document, 1, context(host), noPermits));
    expect(writes).toBe(resources.length + 2);
    writes = 0;
    await applyDocument(behaviours, state, document, 2, context(host), noPermits);
    expect(writes).toBe(1);
  });

  it("waits where a member would be taken down, keeps the order, and goes on there", async () => {
    const state = new AgentState(folder);
    const clustered: Behaviours = { ...behaviours, chrony: { ...behaviours.chrony, disrupts: () => "time" } };
    const asked: string[] = [];
    const permits = {
      given: false,
      leave: (...wish: string[]) => {
        asked.push(wish.join(" "));
        return permits.given;
      },
      done: (service: string, id: string) => asked.push(`done ${service} ${id}`),
    };
    const order = [resources[0], resources[2], resources[1]] as Resource[];
    const apply = async (seq: number, wanted: Resource[]): Promise<Ledger> => {
      const ledger = await applyDocument(
        clustered,
        state,
        { service: "all", resources: wanted },
        seq,
        context(host),
        permits,
      );
      state.keepLedger("all", ledger);
      return ledger;
    };
    // What was never there is made without asking.
    expect((await apply(1, order)).outcome).toBe("changed");
    expect(asked.filter((line) => !line.startsWith("done"))).toEqual([]);

    host.contents.delete("/etc/hosts");
    host.contents.delete("/etc/chrony/chrony.conf");
    const before = host.mutations.length;
    const waiting = await apply(2, order);
    expect(waiting.outcome).toBeNull();
    expect(outcomes(waiting)).toEqual(["hostname/hostname unchanged"]);
    expect(host.mutations).toHaveLength(before);
    expect(asked.at(-1)).toBe("time all chrony/chrony");

    permits.given = true;
    expect(outcomes(await apply(2, order))).toEqual([
      "hostname/hostname unchanged",
      "chrony/chrony changed",
      "hosts-file/hosts changed",
    ]);

    // Its removal takes it down too.
    permits.given = false;
    expect((await apply(3, order.slice(0, 1))).outcome).toBeNull();
    expect(host.packages.installed("chrony")).not.toBeNull();
    permits.given = true;
    expect((await apply(3, order.slice(0, 1))).outcome).toBe("changed");
    expect(host.packages.installed("chrony")).toBeNull();
  });

  const fileOf = (name: string, path: string, text: string): Resource => ({
    type: "file",
    name,
    spec: { path, content: [{ text }], owner: 0, group: 0, mode: "0644" },
  });

  it("leaves to a resource of another name what it goes on with", async () => {
    await life(
      host,
      {
        service: "all",
        resources: [fileOf("a", "/etc/stackctl/x", "one"), fileOf("c", "/etc/stackctl/c", "c")],
      },
      1,
    );
    const renamed = { service: "all", resources: [fileOf("b", "/etc/stackctl/x", "two")] };
    const plan = await planDocument(behaviours, new AgentState(folder), renamed, context(host));
    expect(plan.map(({ id, outcome, why }) => [id, outcome, why])).toEqual([
      ["file/b", "planned", undefined],
      ["file/c", "planned", "removed"],
      ["file/a", "unchanged", "goes on as file/b"],
    ]);
    const ledger = await life(host, renamed, 2);
    expect(outcomes(ledger)).toEqual(["file/b changed", "file/c changed", "file/a unchanged"]);
    expect(host.files.read("/etc/stackctl/x")).toBe("two");
    expect(host.files.read("/etc/stackctl/c")).toBeNull();
    // Now it is the other's, and goes with that, and with it the folders that were only there for it.
    await life(host, { service: "all", resources: [] }, 3);
    expect(host.snapshot()).toEqual(new FakeHost().snapshot());
  });

  it("leaves to another service what moved there, whichever of them comes first", async () => {
    const moved = fileOf("x", "/etc/stackctl/x", "one");
    await life(host, { service: "old", resources: [moved] }, 1);
    await life(host, { service: "new", resources: [moved] }, 2);
    expect(outcomes(await life(host, { service: "old", resources: [] }, 3))).toEqual(["file/x unchanged"]);
    expect(host.files.read("/etc/stackctl/x")).toBe("one");
    expect(outcomes(await life(host, { service: "new", resources: [] }, 4))).toEqual(["file/x changed"]);
    expect(host.files.read("/etc/stackctl/x")).toBeNull();
  });

  it("takes a container away before another one is to listen at its port", async () => {
    const id = `sha256:${"1".repeat(64)}`;
    host.imageIds.add(id);
    host.answering.add(11211);
    const named = (name: string): Resource =>
      resourceSchema.parse({
        type: "container",
        name,
        spec: {
          image: { id, pull: null },
          command: ["memcached"],
          user: "1:1",
          mounts: [],
          tmpfs: [],
          capabilities: [],
          environment: {},
          configuration: [],
          requires: [],
          stopSeconds: 10,
          ready: { address: "10.0.0.1", port: 11211, seconds: 1 },
          cluster: null,
        },
      });
    await life(host, { service: "all", resources: [named("one")] }, 1);
    host.mutations.length = 0;
    await life(host, { service: "all", resources: [named("two")] }, 2);
    expect([...host.containers.keys()]).toEqual(["two"]);
    expect(host.mutations.indexOf("docker.remove one")).toBeLessThan(
      host.mutations.indexOf("docker.create two"),
    );
  });

  it("keeps data, says where until somebody takes it away, and takes it up again", async () => {
    const data: Resource = {
      type: "directory",
      name: "data",
      spec: { path: "/var/lib/stackctl/data", owner: 0, group: 0, mode: "0750", holdsData: true },
    };
    const kept = async (): Promise<string[]> =>
      keptOf(behaviours, new AgentState(folder).ledger("all"), context(host));
    await life(host, { service: "all", resources: [data] }, 1);
    host.files.write("/var/lib/stackctl/data/x", "dear", 0o600);
    const nothing = { service: "all", resources: [] };
    expect(await planDocument(behaviours, new AgentState(folder), nothing, context(host))).toMatchObject([
      { outcome: "planned", why: "removed, kept: /var/lib/stackctl/data" },
    ]);
    const ledger = await life(host, nothing, 2);
    expect(ledger.done).toMatchObject([{ outcome: "kept", why: "kept: /var/lib/stackctl/data" }]);
    expect(ledger.outcome).toBe("unchanged");
    await life(host, nothing, 3);
    expect(await kept()).toEqual(["directory/data: /var/lib/stackctl/data"]);
    await life(host, { service: "all", resources: [data] }, 4);
    expect(await kept()).toEqual([]);
    await life(host, nothing, 5);
    host.files.remove("/var/lib/stackctl/data/x");
    expect(await kept()).toEqual([]);
  });

  it("plans without touching the host or its own state", async () => {
    const state = new AgentState(folder);
    const plan = await planDocument(behaviours, state, document, context(host));
    expect(plan.map(({ outcome }) => outcome)).toEqual(["planned", "planned", "planned"]);
    expect(host.mutations).toEqual([]);
    expect(state.ledger("all").applied).toEqual([]);
  });
});

describe("AgentState", () => {
  it("never gives a number twice, through any number of lives", () => {
    const seen = new Set<number>();
    for (let n = 0; n < 5; n++) {
      const state = new AgentState(folder);
      for (let each = 0; each < 3; each++) {
        const number = state.number("result");
        expect(seen.has(number)).toBe(false);
        expect(number).toBeGreaterThan(Math.max(0, ...seen));
        seen.add(number);
      }
    }
  });

  it("keeps events until they are delivered, and tolerates a torn last line", () => {
    const state = new AgentState(folder);
    const bootId = "8c6b2c1e-7d2a-4c7e-9f64-0d9b1f1d2a3b";
    const first = state.queue({ type: "agent.started", version: "0.1.0", bootId });
    state.queue({ type: "message.refused", subject: "s", why: "w" });
    const file = join(folder, "outbox.jsonl");
    writeFileSync(file, `${readFileSync(file, "utf8")}{"n":99,"ev`);
    const next = new AgentState(folder);
    expect(next.oldest()).toEqual(first);
    next.delivered(first.n);
    expect(next.oldest()?.event.type).toBe("message.refused");
  });

  it("takes over what was applied into the next incarnation, and nothing else", async () => {
    await life(host, document, 7);
    new AgentState(folder).keepFloors({ epoch: 3, leader: null, latestIssuedMs: 5 });
    setAside(folder, 1);
    const state = new AgentState(folder);
    expect(state.floors()).toBeNull();
    expect(state.documents()).toEqual([]);
    expect(state.ledger("all")).toMatchObject({ seq: 0, outcome: null, done: [], intent: null });
    expect(state.ledger("all").applied).toHaveLength(3);
  });
});
