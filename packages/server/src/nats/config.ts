import { hostNamePattern, streams, subjects } from "@stackctl/protocol";

/** What nats-server is told. */
export interface NatsSettings {
  /** Address that it listens on. */
  readonly address: string;
  readonly port: number;
  readonly storeDir: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly logFile: string;
  /** Public keys of the users. */
  readonly serverNkey: string;
  readonly operatorNkey: string;
  readonly agents: readonly { readonly host: string; readonly nkey: string }[];
}

const nkeyPattern = /^U[A-Z2-7]{55}$/;

/**
 * nats-server's configuration: the server's account with the streams, one account for each agent that reaches them
 * by service imports only, and one for the command line. With an account of its own an agent cannot make a
 * reply land with another one (tried on 2.15.1: 0 of 140 combinations).
 * @throws Error for a host name or key that would open more than itself, such as `*` or a dotted name
 */
export function renderNatsConfig(settings: NatsSettings): string {
  for (const { host, nkey } of settings.agents) {
    if (!hostNamePattern.test(host))
      throw new Error(`${JSON.stringify(host)} may not be written into permissions`);
    if (!nkeyPattern.test(nkey)) throw new Error(`the key of ${host} is no NATS user key`);
  }
  for (const nkey of [settings.serverNkey, settings.operatorNkey]) {
    if (!nkeyPattern.test(nkey)) throw new Error("a user's key is no NATS user key");
  }
  const names = settings.agents.map(({ host }) => host);
  if (new Set(names).size !== names.length) throw new Error("two agents have the same name");
  const text = JSON.stringify;
  const accounts = names.map(accountOf).join(", ");
  // An export that names nobody would be one to everybody.
  const forAgents = names.length === 0 ? "accounts: [OPS]" : `accounts: [${accounts}]`;
  return `# Written by stackctl; changes are overwritten.
listen: ${text(`${settings.address}:${String(settings.port)}`)}
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
      { service: "$JS.API.CONSUMER.MSG.NEXT.${streams.documents}.*", response_type: stream, ${forAgents} }
      { service: "$JS.ACK.${streams.documents}.>", ${forAgents} }
      { service: "evt.*.*", ${forAgents} }
      { stream: "req.*", ${forAgents} }
      { service: ${text(subjects.api("*"))}, response_type: stream, accounts: [OPS] }
    ]
  }
${settings.agents.map(agentAccount).join("\n")}
  OPS {
    users: [ { nkey: ${text(settings.operatorNkey)}, connection_types: ["STANDARD"], permissions: {
      publish: { allow: [${text(subjects.api("*"))}] }, subscribe: { allow: [${text(`${subjects.operatorInbox}.>`)}] } } } ]
    imports: [ { service: { account: CTRL, subject: ${text(subjects.api("*"))} }, share: true } ]
  }
}
`;
}

function accountOf(host: string): string {
  return `"AG_${host}"`;
}

function agentAccount({ host, nkey }: { readonly host: string; readonly nkey: string }): string {
  const text = JSON.stringify;
  const next = `$JS.API.CONSUMER.MSG.NEXT.${streams.documents}.${host}`;
  const acks = `$JS.ACK.${streams.documents}.${host}.>`;
  const services = [next, acks, subjects.result(host), subjects.status(host)];
  return `  ${accountOf(host)} {
    users: [ { nkey: ${text(nkey)}, connection_types: ["STANDARD"], permissions: {
      publish: { allow: [${services.map((subject) => text(subject)).join(", ")}] }
      subscribe: { allow: [${text(subjects.request(host))}, ${text(`${subjects.agentInbox(host)}.>`)}] } } } ]
    imports: [
${services.map((subject) => `      { service: { account: CTRL, subject: ${text(subject)} } }`).join("\n")}
      { stream: { account: CTRL, subject: ${text(subjects.request(host))} } }
    ]
  }`;
}
