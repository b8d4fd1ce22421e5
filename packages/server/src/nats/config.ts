import { hostNamePattern, maxMessageBytes, streams, subjects } from "@stackctl/protocol";

/** An agent's user: who may connect as which host. */
export interface NatsAgent {
  readonly host: string;
  /** Public key, `U...`. */
  readonly nkey: string;
}

/** What nats-server is told. */
export interface NatsSettings {
  /** Address of this machine that it listens on. */
  readonly address: string;
  readonly port: number;
  readonly storeDir: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly logFile: string;
  /** Public keys of the users. */
  readonly serverNkey: string;
  readonly operatorNkey: string;
  readonly agents: readonly NatsAgent[];
}

const nkeyPattern = /^U[A-Z2-7]{55}$/;

/**
 * nats-server's whole configuration: the server's account with the streams, one account for each agent that reaches them
 * by service imports only, and one for the command line. With an account of its own an agent cannot make a
 * reply land with another one. Pure; nothing is written into it that was not checked here.
 * @throws Error for a host name, key or address that would open more than itself, such as `*` or a dotted name
 */
export function renderNatsConfig(settings: NatsSettings): string {
  const { agents, address, port } = settings;
  for (const { host, nkey } of agents) {
    if (!hostNamePattern.test(host))
      throw new Error(`${JSON.stringify(host)} may not be written into permissions`);
    if (!nkeyPattern.test(nkey)) throw new Error(`the key of ${host} is no NATS user key`);
  }
  for (const nkey of [settings.serverNkey, settings.operatorNkey]) {
    if (!nkeyPattern.test(nkey)) throw new Error("a user's key is no NATS user key");
  }
  assertDifferent(
    agents.map(({ host }) => host),
    "two agents have the same name",
  );
  // The same key twice would be one user with the rights of whichever nats-server takes.
  assertDifferent(
    [settings.serverNkey, settings.operatorNkey, ...agents.map(({ nkey }) => nkey)],
    "two users have the same key",
  );
  if (!/^[0-9A-Fa-f.:]+$/.test(address)) throw new Error(`${JSON.stringify(address)} is no address`);
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw new Error(`${String(port)} is no port to listen on`);
  const listen = address.includes(":") ? `[${address}]:${String(port)}` : `${address}:${String(port)}`;
  // An export that names nobody would be one to everybody.
  const toAgents = `accounts: [${agents.length === 0 ? "OPS" : agents.map(({ host }) => accountOf(host)).join(", ")}]`;
  // Neither monitoring nor cluster, leafnodes, MQTT or websockets: nothing else listens.
  return `# Written by stackctl; changes are overwritten.
listen: ${text(listen)}
server_name: "stackctl"
log_file: ${text(settings.logFile)}
logfile_size_limit: 10MB
logfile_max_num: 3
max_payload: 512KB
max_connections: 2000
max_control_line: 4KB
max_subscriptions: 64
max_pending: 16MB
write_deadline: "10s"
ping_interval: "5s"
ping_max: 2
tls { cert_file: ${text(settings.certFile)}, key_file: ${text(settings.keyFile)}, min_version: "1.3", timeout: 5 }
jetstream { store_dir: ${text(settings.storeDir)}, max_mem: 64MB, max_file: 1GB, sync_interval: always }
accounts {
  CTRL {
    jetstream: enabled
    users: [ { nkey: ${text(settings.serverNkey)}, connection_types: ["STANDARD"] } ]
    exports: [
      { service: ${text(nextDocument("*"))}, response_type: stream, ${toAgents} }
      { service: ${text(`$JS.ACK.${streams.documents}.>`)}, ${toAgents} }
      { service: ${text(subjects.result("*"))}, ${toAgents} }
      { service: ${text(subjects.status("*"))}, ${toAgents} }
      { service: ${text(subjects.logLines("*"))}, ${toAgents} }
      { stream: ${text(subjects.request("*"))}, ${toAgents} }
      { service: ${text(subjects.api("*"))}, response_type: stream, accounts: [OPS] }
    ]
  }
${agents.map(agentAccount).join("\n")}
  OPS {
    users: [ { nkey: ${text(settings.operatorNkey)}, connection_types: ["STANDARD"], permissions: {
      publish: { allow: [${text(subjects.api("*"))}] }, subscribe: { allow: [${text(`${subjects.operatorInbox}.>`)}] } } } ]
    imports: [ { service: { account: CTRL, subject: ${text(subjects.api("*"))} }, share: true } ]
  }
}
`;
}

/** JSON's strings are strings of nats-server's configuration too. */
function text(value: string): string {
  return JSON.stringify(value);
}

function accountOf(host: string): string {
  return `"AG_${host}"`;
}

/** The subject on which an agent pulls its documents. */
function nextDocument(host: string): string {
  return `$JS.API.CONSUMER.MSG.NEXT.${streams.documents}.${host}`;
}

function agentAccount({ host, nkey }: NatsAgent): string {
  const services = [
    nextDocument(host),
    `$JS.ACK.${streams.documents}.${host}.>`,
    subjects.result(host),
    subjects.status(host),
    subjects.logLines(host),
  ];
  // One hostile agent must not use up the connections of all; a few are left for those that died unnoticed.
  return `  ${accountOf(host)} {
    limits: { max_connections: 8, max_subscriptions: 32, max_payload: ${String(maxMessageBytes + 1024)} }
    users: [ { nkey: ${text(nkey)}, connection_types: ["STANDARD"], permissions: {
      publish: { allow: [${services.map(text).join(", ")}] }
      subscribe: { allow: [${text(subjects.request(host))}, ${text(`${subjects.agentInbox(host)}.>`)}] } } } ]
    imports: [
${services.map((subject) => `      { service: { account: CTRL, subject: ${text(subject)} } }`).join("\n")}
      { stream: { account: CTRL, subject: ${text(subjects.request(host))} } }
    ]
  }`;
}

function assertDifferent(values: readonly string[], otherwise: string): void {
  if (new Set(values).size !== values.length) throw new Error(otherwise);
}
