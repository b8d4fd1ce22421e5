import { mkdirSync, rmSync, statSync } from "node:fs";
import { createSocket } from "node:dgram";
import { generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createUser, fromSeed } from "@nats-io/nkeys";
import {
  leaveAnswer,
  natsTlsName,
  pingAnswer,
  privateKey,
  privateKeyText,
  publicKeyText,
  StackctlError,
  version,
  type ServerFile,
} from "@stackctl/protocol";
import { answerCall } from "./api/api.ts";
import { handlers } from "./api/handlers.ts";
import { Logins } from "./bootstrap/logins.ts";
import { runtimeArchive, type Runtime } from "./bootstrap/runtime.ts";
import { connectBus } from "./bus/nats.ts";
import { loadCloud, parseCloud } from "./config/load.ts";
import { sshPassphraseSecret, type CloudHost, type LoadedCloud } from "./config/model.ts";
import { Questions } from "./fleet/ask.ts";
import { Fleet } from "./fleet/fleet.ts";
import { Holds } from "./fleet/holds.ts";
import { Intake } from "./fleet/intake.ts";
import { Logs } from "./fleet/logs.ts";
import { GaleraLead } from "./fleet/galera-lead.ts";
import { Permits } from "./fleet/permits.ts";
import { ensureRings } from "./keys/ensure-rings.ts";
import { natsServerBinary } from "./nats/binary.ts";
import { startNats } from "./nats/process.ts";
import { Enroller } from "./run/enroller.ts";
import { Planner } from "./run/planner.ts";
import { Publisher } from "./run/publisher.ts";
import { Runs } from "./run/runs.ts";
import { Upgrades } from "./run/upgrades.ts";
import { registryHost } from "./services/host.ts";
import { keystoneSecrets } from "./services/keystone.ts";
import { mariadbSecrets } from "./services/mariadb.ts";
import { registryKeySecret } from "./services/registry.ts";
import { needsOf } from "./services/index.ts";
import { Store } from "./store/store.ts";
import { isCertificateOf, makeAuthority, makeServerCertificate } from "./trust/pki.ts";
import { signRequest, type Signer } from "./trust/sign.ts";
import { Vault } from "./vault/vault.ts";
import { writePrivately } from "./write-privately.ts";

export interface ServerOptions {
  /** Absolute path of `cloud.yaml`. */
  readonly cloudFile: string;
  /** The server's home: database, vault key, JetStream, logs. Made when missing, 0700. */
  readonly home: string;
  /** The agent's bundle that is pushed to hosts. @default the one built beside this bundle */
  readonly agentBundle?: string;
  readonly log: (fields: Record<string, unknown>, message: string) => void;
  /** Told what takes long at the start. */
  readonly progress: (text: string) => void;
}

/** A server that serves. */
export interface Server {
  /** Ends it; agents keep their documents true without it. */
  readonly stop: () => Promise<void>;
  /** Resolves when the command line asked it to end. */
  readonly stopped: Promise<unknown>;
}

/** Names of the server's own secrets in the vault. */
const own = {
  documentKey: "server-document-key",
  authorityKey: "nats-authority-key",
  authorityCertificate: "nats-authority-certificate",
  natsKey: "nats-server-key",
  natsCertificate: "nats-server-certificate",
  serverSeed: "nats-server-seed",
  operatorSeed: "nats-operator-seed",
  cloudAuthorityKey: "cloud-authority-key",
  cloudAuthorityCertificate: "cloud-authority-certificate",
  registryKey: registryKeySecret,
  registryCertificate: "registry-certificate",
  sstPassword: mariadbSecrets.sst,
  monitorPassword: mariadbSecrets.monitor,
  keystoneDatabasePassword: keystoneSecrets.database,
  keystoneAdminPassword: keystoneSecrets.admin,
} as const;

/** A document that an agent lacks is published again, but not more often than this. */
const republishMs = 10_000;

/** A certificate, good for two years, is renewed at a start of the server in its second one. */
const renewBeforeMs = 365 * 86_400_000;

/**
 * Starts the server: store, vault, nats-server, bus, engine; goes on with runs that were under way.
 * @throws StackctlError `cloud_missing`, `cloud_invalid`, `store_locked`, `vault_key_wrong`, `nats_*`, `address_not_local`
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { cloudFile, home, log } = options;
  const first = loadCloud(cloudFile);
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const store = new Store(join(home, "stackctl.db"));
  const vault = new Vault(store, join(home, "vault.key"));
  const { cluster, leader, epoch } = await foundCloud(store, vault, registryHost(first.cloud));

  const address =
    first.cloud.server.address ?? (await routeTo(first.cloud.hosts[0]?.addresses.management ?? "127.0.0.1"));
  const url = `tls://${address}:${String(first.cloud.server.port)}`;
  options.progress("looking for nats-server");
  const binary = await natsServerBinary(join(home, "cache"));
  const serverUser = vaultUser(vault, own.serverSeed);
  const operatorUser = vaultUser(vault, own.operatorSeed);
  const agentKeys = (): { host: string; nkey: string }[] =>
    store.agents().map(({ host, nkey }) => ({ host, nkey }));
  const nats = await startNats({
    binary,
    home: join(home, "nats"),
    address,
    port: first.cloud.server.port,
    certificate: vault.reveal(own.natsCertificate),
    key: vault.reveal(own.natsKey),
    serverNkey: serverUser.nkey,
    operatorNkey: operatorUser.nkey,
    agents: agentKeys(),
    log,
  });

  const ca = vault.reveal(own.authorityCertificate);
  const bus = await connectBus({ url, ca, seed: serverUser.seed });
  const key = privateKey(vault.reveal(own.documentKey));
  const kid = `document-${String(vault.version(own.documentKey))}`;
  const signer: Signer = { cluster, leader, epoch, kid, key };

  const fleet = new Fleet(first.cloud.absentAfterSeconds * 1000);
  const publisher = new Publisher(store, vault, bus, signer);
  const questions = new Questions(
    (host, request) => {
      const agent = store.agent(host);
      if (agent === null) throw new Error(`${host} is not enrolled`);
      return signRequest(signer, { host, incarnation: agent.incarnation }, request);
    },
    (host, bytes) => bus.request(host, bytes),
  );
  const permits = new Permits({ store, fleet, questions, log });
  const galeraLead = new GaleraLead({ store, fleet, questions, log });
  const holds = new Holds({ store, fleet, questions, needs: needsOf, log });
  const logs = new Logs({ fleet, questions, log });
  const planner = new Planner(store, vault, fleet, questions, publisher, () => ({
    authority: vault.reveal(own.cloudAuthorityCertificate),
    registry: vault.reveal(own.registryCertificate),
  }));

  const cacheDir = join(home, "cache");
  const withBundle = (agentBundle: string): Promise<Runtime> =>
    runtimeArchive({ node: process.execPath, agentBundle, cacheDir });
  const upgrades = new Upgrades({
    store,
    fleet,
    questions,
    holds,
    builtIn: once(() =>
      withBundle(
        options.agentBundle ?? join(dirname(fileURLToPath(import.meta.url)), "../../agent/dist/agent.cjs"),
      ),
    ),
    withBundle,
    cacheDir,
    log,
  });
  const logins = new Logins({
    pin: (name) => store.pin(name),
    passphrase: () =>
      vault.version(sshPassphraseSecret) === null ? null : vault.reveal(sshPassphraseSecret),
    agentSocket: process.env["SSH_AUTH_SOCK"] ?? null,
  });
  const enroller = new Enroller({
    store,
    logins,
    fleet,
    upgrades,
    trust: {
      cluster,
      servers: [url],
      ca,
      documentKeys: { [kid]: publicKeyText(key) },
      epochFloor: epoch,
    },
    answers: async (host) => {
      try {
        pingAnswer.parse(await questions.ask(host, { kind: "ping" }, 3000));
        return true;
      } catch (error) {
        if (error instanceof StackctlError && error.code === "agent_unreachable") return false;
        throw error;
      }
    },
    admit: async (host) => {
      await nats.reload(agentKeys());
      await bus.ensureConsumer(host, true);
      fleet.add(host, null, 0);
    },
  });
  const runs = new Runs({
    store,
    fleet,
    planner,
    publisher,
    enroller,
    permits,
    holds,
    askToLeave: async (host) => leaveAnswer.parse(await questions.ask(host, { kind: "leave" }, 5000)).left,
    dismiss: async (host) => {
      await nats.reload(agentKeys());
      fleet.remove(host);
      store.forget(host);
      await bus.forgetHost(host);
    },
    parse: (text) => parseCloud(text, cloudFile),
    log,
  });

  let lastGood: LoadedCloud = first;
  const load = (): LoadedCloud => {
    lastGood = loadCloud(cloudFile);
    fleet.setAbsentAfter(lastGood.cloud.absentAfterSeconds * 1000);
    return lastGood;
  };

  const republished = new Map<string, number>();
  const republishMissing = (host: string, held: readonly { service: string; seq: number }[]): void => {
    const agent = store.agent(host);
    if (agent === null) return;
    for (const row of store.documents(host)) {
      if (row.incarnation !== agent.incarnation) continue;
      if ((held.find(({ service }) => service === row.service)?.seq ?? 0) >= row.seq) continue;
      if (row.body.resources.length === 0 && store.applied(host, row.service)?.seq === row.seq) continue;
      const name = `${host}/${row.service}`;
      if (Date.now() - (republished.get(name) ?? 0) < republishMs) continue;
      // A document that was just issued is on its way already.
      const seenBefore = republished.has(name);
      republished.set(name, Date.now());
      if (seenBefore)
        void publisher.publish(agent, row).catch((err: unknown) => {
          log({ host, service: row.service, err }, "document not published again");
        });
    }
  };

  const seen = new Map(store.seen().map((row) => [row.host, row]));
  for (const { host } of store.agents()) {
    const before = seen.get(host);
    fleet.add(host, before?.status ?? null, before === undefined ? 0 : Date.parse(before.at));
  }
  const noted = new Map<string, string>();
  const intake = new Intake(store, fleet, cluster, {
    log,
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
    onEvents: () => {
      runs.touch();
    },
    onLines: (host, batch) => {
      logs.heard(host, batch);
    },
    onStatus: (host, status) => {
      republishMissing(host, status.documents);
      const mark = JSON.stringify([status.bootId, status.documents, status.members]);
      if (noted.get(host) === mark) return;
      noted.set(host, mark);
      store.noteSeen({ host, at: new Date().toISOString(), bootId: status.bootId, status });
      runs.touch();
    },
  });
  fleet.onChange(({ host, from, to }) => {
    const text = {
      ok: from === "silent" || from === "absent" || from === "rebooting" ? "is back" : "is there",
      silent: "is silent",
      absent: "is absent",
      rebooting: "reboots",
    }[to];
    const type = {
      ok: "host.returned",
      silent: "host.silent",
      absent: "host.absent",
      rebooting: "host.went-down",
    }[to];
    if (to !== "rebooting") {
      store.addEvent({
        at: new Date().toISOString(),
        host,
        service: null,
        resource: null,
        type,
        text: `${host} ${text}`,
        run: null,
      });
    }
    runs.touch();
  });
  await bus.onResult((host, bytes) => {
    intake.result(host, bytes);
    return Promise.resolve();
  });
  bus.onStatus((host, bytes) => {
    intake.status(host, bytes);
  });
  bus.onLines((host, bytes) => {
    intake.lines(host, bytes);
  });
  for (const { host } of store.agents()) await bus.ensureConsumer(host, false);
  // A server that was killed right after it let a host go has not got to this.
  for (const { host } of store.formerHosts()) {
    store.forget(host);
    await bus.forgetHost(host);
  }

  const startedAt = new Date().toISOString();
  const stopping = Promise.withResolvers<undefined>();
  const api = handlers({
    store,
    vault,
    logins,
    fleet,
    permits,
    galeraLead,
    holds,
    logs,
    planner,
    runs,
    upgrades,
    questions,
    publisher,
    cloudFile,
    startedAt,
    authority: () => vault.reveal(own.cloudAuthorityCertificate),
    load,
    settled: settled(
      fleet,
      store.agents().map(({ host }) => host),
    ),
    stop: () => {
      stopping.resolve(undefined);
    },
  });
  bus.onCall((method, bytes) => answerCall(api, method, bytes, log));

  const ticker = setInterval(() => {
    fleet.tick();
    permits.tick();
    galeraLead.tick();
    holds.tick();
    logs.tick();
    for (const { host } of store.agents())
      if (fleet.presence(host)?.state === "ok") runs.hostReturned(host, lastGood);
  }, 1000);
  // A host that was off before it was ever enrolled can't say that it is back: its sshd is looked for now and then.
  const knock = async (host: CloudHost, { cloud }: LoadedCloud): Promise<void> => {
    if (store.agent(host.name) !== null || !runs.owed(host.name)) return;
    if (await logins.listens(host, cloud)) runs.hostReturned(host.name, lastGood);
  };
  const knocker = setInterval(() => {
    for (const host of lastGood.cloud.hosts) void knock(host, lastGood);
  }, 10_000);

  upgrades.resume();
  runs.resume();
  const file: ServerFile = {
    pid: process.pid,
    version,
    build: buildOf(),
    url,
    ca,
    operatorSeed: operatorUser.seed,
  };
  const serverFile = join(home, "server.json");
  writePrivately(serverFile, JSON.stringify(file));
  log({ url, pid: process.pid, version }, "server ready");

  const stop = async (): Promise<void> => {
    clearInterval(ticker);
    clearInterval(knocker);
    runs.stop();
    upgrades.stop();
    rmSync(serverFile, { force: true });
    await bus.close();
    await nats.stop();
    store.close();
    log({}, "server stopped");
  };
  return { stop: once(stop), stopped: stopping.promise };
}

/** The cloud's identity and the server's own keys: made once, then read. Killed half-way, the rest is made next time. */
async function foundCloud(
  store: Store,
  vault: Vault,
  registry: string,
): Promise<{ cluster: string; leader: string; epoch: number }> {
  const ensure = async (
    names: readonly string[],
    make: () => Promise<readonly string[]> | readonly string[],
  ): Promise<void> => {
    if (names.every((name) => vault.version(name) !== null)) return;
    const values = await make();
    names.forEach((name, index) => vault.write("server", name, values[index] ?? ""));
  };
  await ensure([own.documentKey], () => [privateKeyText(generateKeyPairSync("ed25519").privateKey)]);
  for (const password of [
    own.sstPassword,
    own.monitorPassword,
    own.keystoneDatabasePassword,
    own.keystoneAdminPassword,
  ])
    await ensure([password], () => [randomBytes(24).toString("hex")]);
  ensureRings(store, vault);
  await ensure([own.serverSeed], () => [newSeed()]);
  await ensure([own.operatorSeed], () => [newSeed()]);
  await ensure([own.authorityKey, own.authorityCertificate], async () => {
    const authority = await makeAuthority();
    return [authority.caKey, authority.caCert];
  });
  await ensure([own.cloudAuthorityKey, own.cloudAuthorityCertificate], async () => {
    const authority = await makeAuthority();
    return [authority.caKey, authority.caCert];
  });
  const certify = async (
    name: string,
    authority: readonly [string, string],
    certificate: readonly [string, string],
  ): Promise<void> => {
    const [keyName, certificateName] = certificate;
    const before = vault.version(certificateName) === null ? null : vault.reveal(certificateName);
    if (before !== null && isCertificateOf(before, name, renewBeforeMs)) return;
    const [caKey, caCert] = authority.map((secret) => vault.reveal(secret));
    const { key, cert } = await makeServerCertificate({ caKey: caKey ?? "", caCert: caCert ?? "" }, name);
    // Killed in between, the certificate is still the old one, or none, and both are made again.
    vault.write("server", keyName, key);
    vault.write("server", certificateName, cert);
  };
  await certify(
    natsTlsName,
    [own.authorityKey, own.authorityCertificate],
    [own.natsKey, own.natsCertificate],
  );
  await certify(
    registry,
    [own.cloudAuthorityKey, own.cloudAuthorityCertificate],
    [own.registryKey, own.registryCertificate],
  );
  if (store.cloud() === null) {
    store.decide("server", { type: "cloud.created", cluster: randomUUID(), leader: randomUUID(), epoch: 1 });
  }
  const cloud = store.cloud();
  if (cloud === null) throw new Error("the store holds no cloud");
  return cloud;
}

/** What tells this bundle from another: its time and size, as the command line reads them too. */
function buildOf(): string {
  const { mtimeMs, size } = statSync(fileURLToPath(import.meta.url));
  return `${String(mtimeMs)}-${String(size)}`;
}

function newSeed(): string {
  return new TextDecoder().decode(createUser().getSeed());
}

function vaultUser(vault: Vault, secret: string): { seed: string; nkey: string } {
  const seed = vault.reveal(secret);
  return { seed, nkey: fromSeed(new TextEncoder().encode(seed)).getPublicKey() };
}

/**
 * The address of this machine that the route to `target` leaves from: what agents can reach it by.
 * @throws StackctlError `address_not_local` when there is no route
 */
async function routeTo(target: string): Promise<string> {
  const socket = createSocket("udp4");
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      // A UDP socket's connect sends nothing; the kernel only chooses the route.
      socket.connect(9, target, resolve);
    });
    return socket.address().address;
  } catch (cause) {
    throw new StackctlError("address_not_local", `this machine has no route to ${target}`, {
      details: {
        remedy: "set server.address in cloud.yaml to an address of this machine that the hosts can reach",
      },
      cause,
    });
  } finally {
    socket.close();
  }
}

/** Resolves when every host was heard, at most a little after they could have reconnected. */
async function settled(fleet: Fleet, hosts: readonly string[]): Promise<void> {
  const until = Date.now() + 4000;
  while (Date.now() < until && hosts.some((host) => fleet.presence(host)?.state !== "ok")) {
    await new Promise<void>((resolve) => setTimeout(resolve, 50));
  }
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | null = null;
  return () => (running ??= work());
}
