import { generateKeyPairSync, randomBytes, randomUUID, type KeyObject } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Agent } from "@stackctl/agent/agent.ts";
import { openAgentBus } from "@stackctl/agent/bus/nats.ts";
import type { Behaviours } from "@stackctl/agent/engine/converge.ts";
import { readOrNull } from "@stackctl/agent/host/files.ts";
import { AgentState, type KeptPermit } from "@stackctl/agent/engine/state.ts";
import type { Identity } from "@stackctl/agent/identity.ts";
import { FakeHost } from "@stackctl/agent/testing/fake-host.ts";
import {
  documentDigest,
  privateKeyText,
  publicKeyText,
  type AgentRequest,
  type Outcome,
  type Resource,
} from "@stackctl/protocol";
import { connectBus } from "@stackctl/server/bus/nats.ts";
import { Questions } from "@stackctl/server/fleet/ask.ts";
import { Fleet } from "@stackctl/server/fleet/fleet.ts";
import { Holds } from "@stackctl/server/fleet/holds.ts";
import { Intake } from "@stackctl/server/fleet/intake.ts";
import { Logs } from "@stackctl/server/fleet/logs.ts";
import { Permits } from "@stackctl/server/fleet/permits.ts";
import { runtimeArchive, type Runtime } from "@stackctl/server/bootstrap/runtime.ts";
import { Publisher } from "@stackctl/server/run/publisher.ts";
import { Upgrades } from "@stackctl/server/run/upgrades.ts";
import { Store } from "@stackctl/server/store/store.ts";
import { signRequest, type Signer } from "@stackctl/server/trust/sign.ts";
import { Vault } from "@stackctl/server/vault/vault.ts";
import { makeReleases, type FakeReleases } from "./fake-releases.ts";
import { makeWorld, until, type World } from "./world.ts";

/** The parts of a server that deal with agents; its store and nats-server outlive it. */
interface FleetServer {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly permits: Permits;
  readonly holds: Holds;
  readonly logs: Logs;
  readonly upgrades: Upgrades;
  readonly ask: (host: string, request: AgentRequest) => Promise<unknown>;
  /** Publishes a document of these resources. */
  readonly publish: (host: string, service: string, resources: readonly Resource[]) => Promise<void>;
  /** Ends it as a kill does: it says nothing more to anybody. */
  readonly kill: () => Promise<void>;
}

/** A host in memory with a real agent, which may be killed and started again. */
interface FleetHost {
  readonly name: string;
  readonly fake: FakeHost;
  readonly releases: FakeReleases;
  readonly start: () => void;
  /** Permits that the agent has on its disk. */
  readonly permits: () => readonly KeptPermit[];
  /** Edits files while the agent does not run: it is seen at its start. */
  readonly edit: (...paths: string[]) => Promise<void>;
  /** What the agent was doing to the host stays as far as it was. */
  readonly kill: () => Promise<void>;
}

/** A real nats-server, hosts in memory with real agents, and the part of a server that deals with them. */
export interface FleetWorld {
  readonly folder: string;
  readonly host: (name: string) => FleetHost;
  readonly server: () => FleetServer;
  readonly startServer: () => Promise<FleetServer>;
  /** Publishes a document and waits for its end. */
  readonly apply: (host: string, service: string, resources: readonly Resource[]) => Promise<Outcome>;
  /** The outcome of the document that was published last; null: not yet applied. */
  readonly outcome: (host: string, service: string) => Outcome | null;
  readonly close: () => Promise<void>;
}

/** Makes a world with these hosts, all agents and a server running. */
export async function makeFleet(
  names: readonly string[],
  behaviours: Behaviours,
  clusterOf: (resource: Resource) => string | null,
): Promise<FleetWorld> {
  const world = await makeWorld(names);
  const documentPair = generateKeyPairSync("ed25519");
  const signer: Signer = {
    cluster: randomUUID(),
    leader: randomUUID(),
    epoch: 1,
    kid: "document-1",
    key: documentPair.privateKey,
  };
  const hosts = names.map((name) => makeHost(world, name, signer, behaviours));
  const store = new Store(join(world.folder, "fleet.db"));
  store.decide("t", { type: "cloud.created", cluster: signer.cluster, leader: signer.leader, epoch: 1 });
  for (const { name, identity } of hosts) {
    store.decide("t", {
      type: "host.enrolled",
      host: name,
      incarnation: 1,
      nkey: world.agent(name).nkey,
      eventKey: publicKeyText(identity.eventPublic),
      sealKey: publicKeyText(identity.sealPublic),
      release: "r",
      bootId: randomUUID(),
      run: 0,
    });
  }
  store.close();
  const start = (): Promise<FleetServer> => startServer(world, signer, clusterOf);
  let server = await start();
  for (const { start: begin } of hosts) begin();
  await until("all hosts are heard", () =>
    names.every((name) => server.fleet.presence(name)?.state === "ok"),
  );
  const outcome = (host: string, service: string): Outcome | null => {
    const applied = server.store.applied(host, service);
    return applied?.seq === server.store.document(host, service)?.seq ? (applied?.outcome ?? null) : null;
  };
  return {
    folder: world.folder,
    host: (name) => {
      const found = hosts.find((each) => each.name === name);
      if (found === undefined) throw new Error(`there is no ${name}`);
      return found;
    },
    server: () => server,
    startServer: async () => (server = await start()),
    outcome,
    apply: async (host, service, resources) => {
      await server.publish(host, service, resources);
      await until(`${service} of ${host} is applied`, () => outcome(host, service) !== null);
      return outcome(host, service) ?? "failed";
    },
    close: async () => {
      for (const { kill } of hosts) await kill();
      await server.kill();
      await world.close();
    },
  };
}

async function startServer(
  world: World,
  signer: Signer,
  clusterOf: (resource: Resource) => string | null,
): Promise<FleetServer> {
  const store = new Store(join(world.folder, "fleet.db"));
  const vault = new Vault(new Store(":memory:"), join(world.folder, `${randomUUID()}.key`));
  const bus = await connectBus({ url: world.url, ca: world.ca, seed: world.server.seed });
  const fleet = new Fleet(60_000);
  for (const { host } of store.agents()) fleet.add(host, null, 0);
  let alive = true;
  const questions = new Questions(
    (host, request) => signRequest(signer, { host, incarnation: 1 }, request),
    (host, bytes) => (alive ? bus.request(host, bytes) : Promise.resolve("offline" as const)),
  );
  const publisher = new Publisher(store, vault, bus, signer);
  const permits = new Permits({ store, fleet, questions, clusterOf, log: () => undefined });
  const holds = new Holds({ store, fleet, questions, needs: () => [], log: () => undefined });
  const logs = new Logs({ fleet, questions, log: () => undefined });
  const cacheDir = join(world.folder, "cache");
  // A Node that is short enough to be sent over and over again.
  const node = join(world.folder, "node");
  if (!existsSync(node)) writeFileSync(node, randomBytes(400_000));
  const withBundle = (agentBundle: string): Promise<Runtime> =>
    runtimeArchive({ node, agentBundle, cacheDir });
  const upgrades = new Upgrades({
    store,
    fleet,
    questions,
    holds,
    builtIn: () => withBundle(node),
    withBundle,
    cacheDir,
    log: () => undefined,
  });
  const intake = new Intake(store, fleet, signer.cluster, {
    log: () => undefined,
    onAnswer: (host, answer) => {
      questions.answered(host, answer);
    },
    onPermit: (host, event) => {
      permits.heard(host, event);
    },
    onLeft: (host, kept) => {
      const removal = store.removalOf(host);
      if (removal !== null) store.decide("server", { type: "host.left", run: removal.run, kept });
    },
    onEvents: () => undefined,
    onLines: (host, batch) => {
      logs.heard(host, batch);
    },
    onStatus: () => undefined,
  });
  await bus.onResult((host, bytes) => {
    if (!alive) return Promise.reject(new Error("the server was killed"));
    intake.result(host, bytes);
    return Promise.resolve();
  });
  bus.onStatus((host, bytes) => {
    if (alive) intake.status(host, bytes);
  });
  bus.onLines((host, bytes) => {
    if (alive) intake.lines(host, bytes);
  });
  const ticker = setInterval(() => {
    fleet.tick();
    permits.tick();
    holds.tick();
    logs.tick();
  }, 100);
  upgrades.resume();
  return {
    store,
    fleet,
    permits,
    holds,
    logs,
    upgrades,
    ask: (host, request) => questions.ask(host, request, 10_000),
    publish: async (host, service, resources) => {
      const agent = store.agent(host);
      if (agent === null) throw new Error(`${host} is not enrolled`);
      const digest = documentDigest(service, [], resources);
      const document = { service, digest, needs: [], resources: [...resources], origins: {} };
      await publisher.issue(agent, document, { kind: "run", text: "by a test", run: 1 }, 1);
    },
    kill: async () => {
      if (!alive) return;
      alive = false;
      upgrades.stop();
      clearInterval(ticker);
      await bus.close();
      store.close();
    },
  };
}

function makeHost(
  world: World,
  name: string,
  signer: Signer,
  behaviours: Behaviours,
): FleetHost & { identity: { eventPublic: KeyObject; sealPublic: KeyObject } } {
  const fake = new FakeHost();
  const events = generateKeyPairSync("ed25519");
  const seals = generateKeyPairSync("x25519");
  const identity: Identity = {
    cluster: signer.cluster,
    host: name,
    incarnation: 1,
    servers: [world.url],
    ca: world.ca,
    documentKeys: { [signer.kid]: publicKeyText(signer.key) },
    epochFloor: 1,
    seed: world.agent(name).seed,
    eventKey: privateKeyText(events.privateKey),
    sealKey: privateKeyText(seals.privateKey),
  };
  let life: { agent: Agent; bus: ReturnType<typeof openAgentBus> } | null = null;
  const folder = join(world.folder, name);
  const releases = makeReleases(join(world.folder, `${name}-opt`), async () => {
    await kill();
    start();
  });
  const start = (): void => {
    const running = releases.start();
    // Such as one whose bundle throws at once: systemd starts it again and again, and nobody hears of it.
    if (running === null) return;
    const { servers, ca, seed } = identity;
    const bus = openAgentBus({ host: name, servers, ca, seed, log: () => undefined });
    const agent = new Agent({
      identity,
      state: new AgentState(folder),
      bus,
      host: fake,
      releases: running,
      behaviours,
      facts: () => Promise.reject(new Error("there are no facts here")),
      log: () => undefined,
    });
    life = { agent, bus };
    void agent.run();
  };
  const kill = async (): Promise<void> => {
    const was = life;
    life = null;
    was?.agent.stop();
    await was?.bus.close();
  };
  return {
    name,
    fake,
    releases,
    identity: { eventPublic: events.publicKey, sealPublic: seals.publicKey },
    start,
    kill,
    permits: () => JSON.parse(readOrNull(join(folder, "permits.json")) ?? "[]") as KeptPermit[],
    edit: async (...paths) => {
      await kill();
      for (const path of paths) {
        const file = fake.contents.get(path);
        if (file === undefined) throw new Error(`${name} has no ${path}`);
        fake.contents.set(path, { ...file, text: "# by hand\n" });
      }
      start();
    },
  };
}
