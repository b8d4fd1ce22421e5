import { createHash } from "node:crypto";
import type { Duplex, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Client, type ConnectConfig } from "ssh2";
import { StackctlError } from "@stackctl/protocol";
import type { SshCredentials } from "./ssh-key.ts";

/** How long a TCP connection through the jump host may take. */
const throughMs = 10_000;

/** Where and as whom to log in. */
export interface SshTarget {
  /** The host that all of it is for, for messages. */
  readonly host: string;
  /** What is logged in to, as people call it: the host, or `the jump host ops@bastion.example.org:22`. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly user: string;
  /** What its key is pinned under, and forgotten by with `host forget-key`. */
  readonly pinName: string;
  /** The fingerprint that was seen first; null: never seen. */
  readonly pinnedFingerprint: string | null;
  /** The fingerprint that `cloud.yaml` demands; null: none. */
  readonly expectedFingerprint: string | null;
}

/** A login on the way to another. */
export interface SshHop {
  readonly target: SshTarget;
  readonly client: Client;
  /** Its key, as {@link SshSession.keys} has it. */
  readonly key: SshKeySeen;
}

/** The key that a machine showed. */
export interface SshKeySeen {
  readonly pinName: string;
  /** `SHA256:...` as OpenSSH prints it. */
  readonly fingerprint: string;
}

export interface SshResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SshRunOptions {
  readonly timeoutMs: number;
  readonly input?: string | Readable;
  /** As root: with `sudo -n` when the user is another. */
  readonly asRoot?: boolean;
}

/** A login on a host whose key was right. */
export interface SshSession {
  readonly host: string;
  /** The keys of the host and of the jump host on the way to it; for the caller to pin. */
  readonly keys: readonly SshKeySeen[];
  /** Runs a command to its end; its exit code is for the caller to judge. @throws StackctlError `ssh_unreachable`, `command_timeout` */
  readonly run: (argv: readonly string[], options: SshRunOptions) => Promise<SshResult>;
  readonly close: () => void;
}

/**
 * Logs in. The host's key is taken the first time it is seen, for the caller to pin, and must be the same ever after.
 * @param through the jump host to go through; null: straight
 * @throws StackctlError `ssh_unreachable`, `ssh_auth_failed`, `ssh_jump_refused`, `host_key_changed`
 */
export async function connectSsh(
  target: SshTarget,
  credentials: SshCredentials,
  through: SshHop | null,
): Promise<SshSession> {
  const { client, key } = await openHop(target, credentials, through);
  let lost: Error | null = null;
  client.on("error", (error) => {
    lost = error;
  });
  return {
    host: target.host,
    keys: through === null ? [key] : [through.key, key],
    close: () => {
      client.end();
    },
    run: (argv, options) => {
      const full = options.asRoot === true && target.user !== "root" ? ["sudo", "-n", "--", ...argv] : argv;
      const what = argv[0] === "sh" ? "a script" : argv.slice(0, 3).join(" ");
      return execute(client, full, options, (error) => unreachable(target, through, lost ?? error), {
        host: target.host,
        user: target.user,
        what,
      });
    },
  };
}

/** As {@link connectSsh}, but nothing is run there: others are reached through it. The caller ends its client. */
export async function openHop(
  target: SshTarget,
  credentials: SshCredentials,
  through: SshHop | null,
): Promise<SshHop> {
  const sock = through === null ? null : await connectThrough(through, target);
  const client = new Client();
  let fingerprint = "";
  const { pinnedFingerprint: pinned, expectedFingerprint: expected } = target;
  const wanted = pinned ?? expected;
  const config: ConnectConfig = {
    host: target.address,
    port: target.port,
    ...(sock === null ? {} : { sock }),
    username: target.user,
    readyTimeout: 10_000,
    keepaliveInterval: 5000,
    keepaliveCountMax: 3,
    algorithms: {
      // The quickest first: OpenSSL has it in hardware, and a runtime of 60 MB goes to every host.
      cipher: { prepend: ["aes128-gcm@openssh.com"], append: [], remove: [] },
      compress: ["none"],
    },
    hostVerifier: (key: Buffer) => {
      fingerprint = `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
      return (wanted === null || fingerprint === wanted) && (expected === null || fingerprint === expected);
    },
    ...credentials.config,
  };
  await new Promise<void>((resolve, reject) => {
    client.once("ready", () => {
      resolve();
    });
    // For good: what a connection says after its end must not end the server.
    client.on("error", (error: Error & { level?: string; code?: string }) => {
      const other = [wanted, expected].find((each) => each !== null && each !== fingerprint) ?? null;
      if (fingerprint !== "" && other !== null) reject(keyChanged(target, fingerprint, other, error));
      else if (
        error.level === "client-authentication" ||
        /Too many authentication failures/.test(error.message)
      )
        reject(notLetIn(target, credentials.name, error));
      else reject(unreachable(target, through, error));
    });
    client.once("close", () => {
      reject(unreachable(target, through, new Error("the connection was closed")));
    });
    client.connect(config);
  });
  return { target, client, key: { pinName: target.pinName, fingerprint } };
}

/** True when something takes connections where the target's sshd should be. */
export async function sshdListens(target: SshTarget, through: SshHop): Promise<boolean> {
  try {
    (await connectThrough(through, target)).destroy();
    return true;
  } catch (error) {
    if (error instanceof StackctlError) return false;
    throw error;
  }
}

/** A TCP connection from the jump host to the target. @throws StackctlError `ssh_unreachable`, `ssh_jump_refused` */
function connectThrough(through: SshHop, target: SshTarget): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(unreachable(target, through, new Error("Connection timed out")));
    }, throughMs);
    through.client.forwardOut("127.0.0.1", 0, target.address, target.port, (error, channel) => {
      clearTimeout(timer);
      if (error === undefined) resolve(channel);
      // SSH_OPEN_ADMINISTRATIVELY_PROHIBITED (RFC 4254, 5.1): sshd there forbids it.
      else if ("reason" in error && error.reason === 1) reject(jumpRefused(target, through, error));
      else reject(unreachable(target, through, error));
    });
  });
}

/** An argument list as one line for the remote POSIX shell, which ssh always puts in between. */
export function shellLine(argv: readonly string[]): string {
  return argv.map((argument) => `'${argument.replaceAll("'", "'\\''")}'`).join(" ");
}

function execute(
  client: Client,
  argv: readonly string[],
  options: SshRunOptions,
  broken: (error: Error) => StackctlError,
  about: { readonly host: string; readonly user: string; readonly what: string },
): Promise<SshResult> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(
        new StackctlError(
          "command_timeout",
          `${about.host}: ${about.what} took more than ${String(options.timeoutMs / 1000)} s`,
          {
            retryable: true,
            details: { host: about.host, remedy: `is it overloaded? on ${about.host}: uptime` },
          },
        ),
      );
    }, options.timeoutMs);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(broken(error));
    };
    const closed = (): void => {
      fail(new Error("the connection was closed"));
    };
    client.once("close", closed);
    client.exec(shellLine(argv), (error, channel) => {
      if (error !== undefined) {
        fail(error);
        return;
      }
      let stdout = "";
      let stderr = "";
      channel.setEncoding("utf8");
      channel.on("data", (text: string) => (stdout += text));
      channel.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
      channel.once("close", (code: number | null) => {
        clearTimeout(timer);
        client.off("close", closed);
        if (/sudo: (a password is required|.*not in the sudoers)/.test(stderr)) {
          reject(
            new StackctlError(
              "ssh_sudo_refused",
              `${about.host}: ${about.user} may not use sudo without a password`,
              {
                details: {
                  host: about.host,
                  remedy: `on ${about.host}: echo '${about.user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/${about.user}`,
                },
              },
            ),
          );
        } else resolve({ code, stdout, stderr });
      });
      if (typeof options.input === "object") {
        pipeline(options.input, channel.stdin).catch(fail);
      } else channel.stdin.end(options.input ?? "");
    });
  });
}

function keyChanged(target: SshTarget, found: string, expected: string, cause: Error): StackctlError {
  const { host, name, pinName, pinnedFingerprint } = target;
  // What the file demands is mended in the file; forgetting what was seen would not help.
  const remedy =
    expected === pinnedFingerprint
      ? `if the machine was reinstalled: stackctl host forget-key ${pinName}`
      : `if ${found} is right (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub, on the machine itself): mend hostKey in cloud.yaml`;
  return new StackctlError("host_key_changed", `${name}: host key changed (${found}, was ${expected})`, {
    details: { host, expected, found, remedy },
    cause,
  });
}

function notLetIn(target: SshTarget, key: string, cause: Error): StackctlError {
  const { host, user } = target;
  const many = /Too many/.test(cause.message)
    ? "; sshd there takes no more tries, so name the right key"
    : "";
  return new StackctlError("ssh_auth_failed", `${placeOf(target)} lets ${user} not in with ${key}${many}`, {
    details: {
      host,
      expected: `a login as ${user}`,
      remedy: `put the public key into ~${user}/.ssh/authorized_keys on ${target.name}, or mend ssh.user and ssh.privateKey in cloud.yaml`,
    },
    cause,
  });
}

function jumpRefused(target: SshTarget, through: SshHop, cause: Error): StackctlError {
  return new StackctlError(
    "ssh_jump_refused",
    `${through.target.name} does not let connections through to ${placeOf(target)}`,
    {
      details: {
        host: target.host,
        remedy: `on ${through.target.name}: AllowTcpForwarding yes in /etc/ssh/sshd_config (and no PermitOpen that leaves ${target.address} out), then systemctl reload ssh`,
      },
      cause,
    },
  );
}

function unreachable(
  target: SshTarget,
  through: SshHop | null,
  cause: Error & { code?: string },
): StackctlError {
  const is = (code: string, text: RegExp): boolean => cause.code === code || text.test(cause.message);
  const found = is("ECONNREFUSED", /connection refused/i)
    ? "refuses connections: does sshd run there?"
    : is("EHOSTUNREACH", /no route to host/i) || is("ENETUNREACH", /network is unreachable/i)
      ? "has no route: is it on, and on this network?"
      : is("ETIMEDOUT", /timed? ?out/i)
        ? "does not answer: is it on?"
        : is("ENOTFOUND", /name or service not known|could not resolve/i)
          ? "is a name that does not resolve"
          : `is not reached: ${cause.message.replace(/^\(SSH\) Channel open failure: /, "")}`;
  const way = through === null ? "" : `, asked by ${through.target.name},`;
  return new StackctlError("ssh_unreachable", `${placeOf(target)}${way} ${found}`, {
    retryable: true,
    details: { host: target.host, remedy: `try: ${sshCommand(target, through)}` },
    cause,
  });
}

/** What to type to see for oneself. */
function sshCommand({ user, address, port }: SshTarget, through: SshHop | null): string {
  const jump = through?.target;
  return [
    "ssh -v",
    ...(jump === undefined ? [] : [`-J ${jump.user}@${jump.address}:${String(jump.port)}`]),
    ...(port === 22 ? [] : [`-p ${String(port)}`]),
    `${user}@${address}`,
  ].join(" ");
}

/** Its name with where it was looked for, unless the name says that already. */
function placeOf({ name, address, port }: SshTarget): string {
  const place = `${address}:${String(port)}`;
  return name.includes(place) ? name : `${name} (${place})`;
}
