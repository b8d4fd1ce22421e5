import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createUser } from "@nats-io/nkeys";
import { connect, nkeyAuthenticator, type NatsConnection, type TlsOptions } from "@nats-io/transport-node";
import { natsTlsName, subjects } from "@stackctl/protocol";
import type { Bus } from "@stackctl/server/bus/bus.ts";
import { connectBus } from "@stackctl/server/bus/nats.ts";
import { natsServerBinary } from "@stackctl/server/nats/binary.ts";
import { startNats, type NatsOptions, type NatsProcess } from "@stackctl/server/nats/process.ts";
import { makeAuthority, makeServerCertificate } from "@stackctl/server/trust/pki.ts";

/** A NATS user with both halves of its key. */
export interface User {
  readonly seed: string;
  readonly nkey: string;
}

/** A real nats-server on loopback, configured and supervised as the product does it, with every key at hand. */
export interface World {
  readonly folder: string;
  readonly url: string;
  readonly ca: string;
  readonly options: NatsOptions;
  readonly nats: NatsProcess;
  readonly server: User;
  readonly operator: User;
  readonly agent: (host: string) => User;
  /** The server's own connection. */
  readonly bus: Bus;
  /** A bare connection with somebody's key, as an attacker who stole it has one. */
  readonly raw: (user: User, inbox: string) => Promise<NatsConnection>;
  readonly rawAgent: (host: string) => Promise<NatsConnection>;
  readonly rawServer: () => Promise<NatsConnection>;
  readonly rawOperator: () => Promise<NatsConnection>;
  /** What nats-server has written into its log so far. */
  readonly log: () => string;
  /** Ends whatever the test opened here. */
  readonly close: () => Promise<void>;
}

/** Makes a world with these agents let in and their consumers made. */
export async function makeWorld(hosts: readonly string[]): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), "stackctl-integration-"));
  const server = newUser();
  const operator = newUser();
  const agents = new Map(hosts.map((host) => [host, newUser()]));
  const authority = await makeAuthority();
  const { cert, key } = await makeServerCertificate(authority, natsTlsName);
  const port = await freePort();
  const options: NatsOptions = {
    binary: await natsServerBinary(join(folder, "cache")),
    home: join(folder, "nats"),
    address: "127.0.0.1",
    port,
    certificate: cert,
    key,
    serverNkey: server.nkey,
    operatorNkey: operator.nkey,
    agents: [...agents].map(([host, { nkey }]) => ({ host, nkey })),
    log: () => undefined,
  };
  const url = `tls://127.0.0.1:${String(port)}`;
  const nats = await startNats(options);
  const ca = authority.caCert;
  const bus = await connectBus({ url, ca, seed: server.seed });
  for (const host of hosts) await bus.ensureConsumer(host, false);

  const opened: NatsConnection[] = [];
  const raw = async (user: User, inbox: string): Promise<NatsConnection> => {
    const connection = await connect({
      servers: [url],
      tls: { ca, servername: natsTlsName } as TlsOptions,
      authenticator: nkeyAuthenticator(new TextEncoder().encode(user.seed)),
      inboxPrefix: inbox,
      reconnect: false,
      timeout: 5000,
    });
    opened.push(connection);
    return connection;
  };
  const agent = (host: string): User => {
    const user = agents.get(host);
    if (user === undefined) throw new Error(`there is no ${host}`);
    return user;
  };
  return {
    folder,
    url,
    ca,
    options,
    nats,
    server,
    operator,
    agent,
    bus,
    raw,
    rawAgent: (host) => raw(agent(host), subjects.agentInbox(host)),
    rawServer: () => raw(server, "_INBOX.tap"),
    rawOperator: () => raw(operator, subjects.operatorInbox),
    log: () => readFileSync(join(options.home, "nats.log"), "utf8"),
    close: async () => {
      for (const connection of opened) await connection.close();
      await bus.close();
      await nats.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

/** A new key pair of a NATS user. */
export function newUser(): User {
  const pair = createUser();
  return { seed: new TextDecoder().decode(pair.getSeed()), nkey: pair.getPublicKey() };
}

/** A port of loopback that nobody listens on. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port was given");
  return address.port;
}

/** Waits until the condition holds. @throws Error naming `what` when it does not in time */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 15_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${String(timeoutMs / 1000)} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Text as the bytes of a message. */
export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The text of a message. */
export function textOf(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}
