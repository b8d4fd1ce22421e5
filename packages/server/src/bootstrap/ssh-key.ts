import { readFileSync } from "node:fs";
import ssh2, { type BaseAgent, type ConnectConfig, type ParsedKey } from "ssh2";
import { StackctlError } from "@stackctl/protocol";
import { sshPassphraseSecret } from "../config/model.ts";

/** How long an ssh agent may take to say which keys it has. */
const agentMs = 5000;

/** What is logged in with. */
export interface SshCredentials {
  /** As messages name it, such as `/root/.ssh/id_ed25519`. */
  readonly name: string;
  readonly config: Pick<ConnectConfig, "privateKey" | "passphrase" | "agent">;
}

/** Where a login's key comes from. */
export interface SshKeySource {
  /** Path of the private key; null: the ssh agent's keys. */
  readonly privateKey: string | null;
  /** Of the private key, from the vault; null: none is there. */
  readonly passphrase: string | null;
  /** The ssh agent's socket; null: nobody told of one. */
  readonly agentSocket: string | null;
}

/**
 * The key to log in with, proved to be usable before any host is asked.
 * @throws StackctlError `ssh_key_unreadable` with what to type
 */
export async function sshCredentials(source: SshKeySource): Promise<SshCredentials> {
  return source.privateKey === null
    ? agentKeys(source.agentSocket)
    : fileKey(source.privateKey, source.passphrase);
}

async function agentKeys(socket: string | null): Promise<SshCredentials> {
  if (socket === null)
    throw unreadable(
      "ssh.privateKey is not set, and no ssh agent is known: SSH_AUTH_SOCK is empty",
      'start one with: eval "$(ssh-agent)" && ssh-add, and type the command again (under sudo: sudo --preserve-env=SSH_AUTH_SOCK), or set ssh.privateKey in cloud.yaml',
    );
  const agent = ssh2.createAgent(socket);
  let keys: readonly unknown[];
  try {
    keys = await identities(agent);
  } catch (cause) {
    throw unreadable(
      `the ssh agent at ${socket} does not answer: ${cause instanceof Error ? cause.message : String(cause)}`,
      "type the command again where an ssh agent runs (ssh-add -l shows its keys), or set ssh.privateKey in cloud.yaml",
      cause,
    );
  }
  if (keys.length === 0)
    throw unreadable(`the ssh agent at ${socket} holds no key`, "give it yours with: ssh-add");
  return {
    name: keys.length === 1 ? "the ssh agent's key" : `the ssh agent's ${String(keys.length)} keys`,
    config: { agent },
  };
}

function identities(agent: BaseAgent): Promise<readonly unknown[]> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`no answer within ${String(agentMs / 1000)} s`));
    }, agentMs);
    agent.getIdentities((error, keys) => {
      clearTimeout(timer);
      if (error === undefined || error === null) resolve(keys ?? []);
      else reject(error);
    });
  });
}

function fileKey(path: string, passphrase: string | null): SshCredentials {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw unreadable(
      `the ssh key ${path} cannot be read`,
      "mend ssh.privateKey in cloud.yaml, or make a key with: ssh-keygen -t ed25519",
      cause,
    );
  }
  const encrypted = isEncrypted(text);
  if (encrypted && passphrase === null)
    throw unreadable(
      `the ssh key ${path} has a passphrase, and the vault does not know it`,
      `stackctl secret set ${sshPassphraseSecret}, or take an ssh agent: ssh-add ${path}, and leave ssh.privateKey out of cloud.yaml`,
    );
  const config = {
    privateKey: text,
    // A passphrase that is left from a former key is none of this one's business.
    ...(encrypted && passphrase !== null ? { passphrase } : {}),
  };
  const parsed: ParsedKey | Error = ssh2.utils.parseKey(text, config.passphrase);
  if (!(parsed instanceof Error)) {
    if (parsed.isPrivateKey()) return { name: path, config };
    throw unreadable(
      `${path} is a public key`,
      "mend ssh.privateKey in cloud.yaml: the private one is needed",
    );
  }
  if (encrypted && !/Unsupported/.test(parsed.message))
    throw unreadable(
      `the passphrase in the vault does not open the ssh key ${path}`,
      `stackctl secret set ${sshPassphraseSecret}`,
      parsed,
    );
  throw unreadable(
    `${path} is no private key that is understood here: ${parsed.message}`,
    `write it in OpenSSH's form with: ssh-keygen -p -f ${path}, or make a key with: ssh-keygen -t ed25519`,
    parsed,
  );
}

/** True when the key opens with a passphrase only, in OpenSSH's own form or as PEM. */
function isEncrypted(text: string): boolean {
  if (/^-----BEGIN ENCRYPTED |^Proc-Type: 4,ENCRYPTED/m.test(text)) return true;
  // OpenSSH's own form names the cipher after a fixed head (PROTOCOL.key in OpenSSH's source); `none` is no passphrase.
  const body = /-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]*?)-----END/.exec(text)?.[1];
  if (body === undefined) return false;
  const bytes = Buffer.from(body, "base64");
  const length = bytes.length > 19 ? bytes.readUInt32BE(15) : 0;
  return bytes.subarray(19, 19 + length).toString() !== "none";
}

function unreadable(message: string, remedy: string, cause?: unknown): StackctlError {
  return new StackctlError("ssh_key_unreadable", message, { details: { remedy }, cause });
}
