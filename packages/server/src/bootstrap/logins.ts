import { StackctlError } from "@stackctl/protocol";
import { listens } from "../listens.ts";
import type { Cloud, CloudHost, JumpHost } from "../config/model.ts";
import { connectSsh, openHop, sshdListens, type SshHop, type SshSession, type SshTarget } from "./ssh.ts";
import { sshCredentials, type SshCredentials } from "./ssh-key.ts";

export interface LoginsOptions {
  /** The fingerprint that a key was pinned with; null: it was never seen. */
  readonly pin: (name: string) => string | null;
  /** Of the private key, from the vault; null: none is there. */
  readonly passphrase: () => string | null;
  /** Socket of the ssh agent that the server was started with; null: none. */
  readonly agentSocket: string | null;
}

/** Logs in to hosts as `cloud.yaml` says: straight, or through the jump host, to which all of them share one connection. */
export class Logins {
  readonly #options: LoginsOptions;
  /** By {@link jumpPinName}, while somebody is logged in through it. */
  readonly #jumps = new Map<string, { readonly hop: Promise<SshHop>; users: number }>();
  #agentSocket: string | null;

  constructor(options: LoginsOptions) {
    this.#options = options;
    this.#agentSocket = options.agentSocket;
  }

  /**
   * Takes the ssh agent of whoever typed the last command: the server outlives the login that it was started from,
   * and the sockets of agents end with theirs.
   */
  useAgent(socket: string): void {
    this.#agentSocket = socket;
  }

  /**
   * @throws StackctlError `ssh_unreachable`, `ssh_auth_failed`, `ssh_jump_refused`, `ssh_key_unreadable`,
   *   `host_key_changed`; each says which hop it is about
   */
  async connect(host: CloudHost, cloud: Cloud): Promise<SshSession> {
    const credentials = await this.#credentials(cloud);
    const { jumpHost } = cloud.ssh;
    if (jumpHost === null) return connectSsh(this.#target(host, cloud), credentials, null);
    const { hop, release } = await this.#jump(jumpHost, host.name, credentials);
    try {
      const session = await connectSsh(this.#target(host, cloud), credentials, hop);
      return {
        ...session,
        close: () => {
          session.close();
          release();
        },
      };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** True when the host's sshd takes connections; nothing is said of why it does not. */
  async listens(host: CloudHost, cloud: Cloud): Promise<boolean> {
    const { jumpHost } = cloud.ssh;
    if (jumpHost === null) return listens(host.addresses.management, host.sshPort);
    try {
      const { hop, release } = await this.#jump(jumpHost, host.name, await this.#credentials(cloud));
      return await sshdListens(this.#target(host, cloud), hop).finally(release);
    } catch {
      // The jump host is away or lets nobody in: then the host cannot be reached either, and a run says why.
      return false;
    }
  }

  #credentials(cloud: Cloud): Promise<SshCredentials> {
    return sshCredentials({
      privateKey: cloud.ssh.privateKey,
      passphrase: this.#options.passphrase(),
      agentSocket: this.#agentSocket,
    });
  }

  #target(host: CloudHost, cloud: Cloud): SshTarget {
    return {
      host: host.name,
      name: host.name,
      address: host.addresses.management,
      port: host.sshPort,
      user: cloud.ssh.user,
      pinName: host.name,
      pinnedFingerprint: this.#options.pin(host.name),
      expectedFingerprint: host.hostKey,
    };
  }

  /** The connection to the jump host, made by the first who needs it and ended by the last. */
  async #jump(
    jump: JumpHost,
    host: string,
    credentials: SshCredentials,
  ): Promise<{ hop: SshHop; release: () => void }> {
    const pinName = jumpPinName(jump);
    const name = `${jump.user}@${pinName}`;
    const pinnedFingerprint = this.#options.pin(pinName);
    let shared = this.#jumps.get(name);
    if (shared === undefined) {
      const target: SshTarget = {
        host,
        name: `the jump host ${name}`,
        address: jump.host,
        port: jump.port,
        user: jump.user,
        pinName,
        pinnedFingerprint,
        expectedFingerprint: jump.hostKey,
      };
      const made = { hop: openHop(target, credentials, null), users: 0 };
      shared = made;
      this.#jumps.set(name, made);
      const forget = (): void => {
        if (this.#jumps.get(name) === made) this.#jumps.delete(name);
      };
      // One that broke is of no use to the next.
      made.hop.then(({ client }) => {
        client.on("error", forget).on("close", forget);
      }, forget);
    }
    const mine = shared;
    mine.users++;
    let released = false;
    const release = (): void => {
      if (released) return;
      released = true;
      if (--mine.users > 0) return;
      if (this.#jumps.get(name) === mine) this.#jumps.delete(name);
      void mine.hop.then(
        ({ client }) => {
          client.end();
        },
        () => undefined,
      );
    };
    try {
      return { hop: await mine.hop, release };
    } catch (error) {
      release();
      if (!(error instanceof StackctlError)) throw error;
      // It was asked for by another host, perhaps.
      const { code, message, retryable, details } = error;
      throw new StackctlError(code, message, { retryable, details: { ...details, host }, cause: error });
    }
  }
}

/** What the key is pinned under of what a person names: a host, or the jump host with or without its port. */
export function pinNamed(name: string, { hosts, ssh: { jumpHost } }: Cloud): string {
  if (hosts.some((host) => host.name === name) || jumpHost?.host !== name) return name;
  return jumpPinName(jumpHost);
}

/** What a jump host's key is pinned under, such as `bastion.example.org:22`; no host of a cloud has such a name. */
function jumpPinName({ host, port }: Pick<JumpHost, "host" | "port">): string {
  return `${host}:${String(port)}`;
}
