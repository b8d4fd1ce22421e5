import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Client, type ConnectConfig } from "ssh2";
import { StackctlError } from "@stackctl/protocol";
import type { Cloud, CloudHost } from "../config/model.ts";

/** Where and as whom to log in. */
export interface SshTarget {
  /** The host's name, for messages. */
  readonly host: string;
  readonly address: string;
  readonly port: number;
  readonly user: string;
  /** Path of the private key; null: the ssh agent's keys. */
  readonly privateKey: string | null;
  /** The fingerprint that was seen first; null: never seen. */
  readonly pinnedFingerprint: string | null;
  /** The fingerprint that `cloud.yaml` demands; null: none. */
  readonly expectedFingerprint: string | null;
}

/** How `cloud.yaml` says that a host is logged in to. */
export function sshTarget(host: CloudHost, cloud: Cloud, pinnedFingerprint: string | null): SshTarget {
  return {
    host: host.name,
    address: host.addresses.management,
    port: host.sshPort,
    user: cloud.ssh.user,
    privateKey: cloud.ssh.privateKey,
    pinnedFingerprint,
    expectedFingerprint: host.hostKey,
  };
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
  /** `SHA256:...` as OpenSSH prints it. */
  readonly fingerprint: string;
  /** Runs a command to its end; its exit code is for the caller to judge. @throws StackctlError `ssh_unreachable`, `command_timeout` */
  readonly run: (argv: readonly string[], options: SshRunOptions) => Promise<SshResult>;
  readonly close: () => void;
}

/**
 * Logs in. The host's key is taken the first time it is seen, for the caller to pin, and must be the same ever after.
 * @throws StackctlError `ssh_unreachable`, `ssh_auth_failed`, `ssh_key_unreadable`, `host_key_changed`
 */
export async function connectSsh(target: SshTarget): Promise<SshSession> {
  const client = new Client();
  const place = `${target.host} (${target.address}:${String(target.port)})`;
  let fingerprint = "";
  const wanted = target.pinnedFingerprint ?? target.expectedFingerprint;
  const config: ConnectConfig = {
    host: target.address,
    port: target.port,
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
      return (
        (wanted === null || fingerprint === wanted) &&
        (target.expectedFingerprint === null || fingerprint === target.expectedFingerprint)
      );
    },
    ...credentials(target),
  };
  await new Promise<void>((resolve, reject) => {
    client.once("ready", () => {
      resolve();
    });
    client.once("error", (error: Error & { level?: string; code?: string }) => {
      if (fingerprint !== "" && wanted !== null && fingerprint !== wanted) {
        reject(
          new StackctlError(
            "host_key_changed",
            `${target.host}: host key changed (${fingerprint}, was ${wanted})`,
            {
              details: {
                host: target.host,
                expected: wanted,
                found: fingerprint,
                remedy: `if the machine was reinstalled: stackctl host forget-key ${target.host}`,
              },
              cause: error,
            },
          ),
        );
      } else if (error.level === "client-authentication") {
        reject(
          new StackctlError(
            "ssh_auth_failed",
            `${place} lets ${target.user} not in with ${target.privateKey ?? "the ssh agent's keys"}`,
            {
              details: {
                host: target.host,
                expected: `a login as ${target.user}`,
                remedy: `put the public key into ~${target.user}/.ssh/authorized_keys on ${target.host}, or mend ssh.user and ssh.privateKey in cloud.yaml`,
              },
              cause: error,
            },
          ),
        );
      } else reject(unreachable(target.host, place, error));
    });
    client.once("close", () => {
      reject(unreachable(target.host, place, new Error("the connection was closed")));
    });
    client.connect(config);
  });
  let lost: Error | null = null;
  client.on("error", (error) => {
    lost = error;
  });
  return {
    host: target.host,
    fingerprint,
    close: () => {
      client.end();
    },
    run: (argv, options) => {
      const full = options.asRoot === true && target.user !== "root" ? ["sudo", "-n", "--", ...argv] : argv;
      return execute(
        client,
        full,
        options,
        (error) => unreachable(target.host, place, lost ?? error),
        target,
      );
    },
  };
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
  target: SshTarget,
): Promise<SshResult> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(
        new StackctlError(
          "command_timeout",
          `${target.host}: ${argv.slice(0, 3).join(" ")} took more than ${String(options.timeoutMs / 1000)} s`,
          {
            retryable: true,
            details: { host: target.host },
          },
        ),
      );
    }, options.timeoutMs);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(broken(error));
    };
    client.once("close", () => {
      fail(new Error("the connection was closed"));
    });
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
        if (/sudo: (a password is required|.*not in the sudoers)/.test(stderr)) {
          reject(
            new StackctlError(
              "ssh_sudo_refused",
              `${target.host}: ${target.user} may not use sudo without a password`,
              {
                details: {
                  host: target.host,
                  remedy: `on ${target.host}: echo '${target.user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/${target.user}`,
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

function credentials(target: SshTarget): Pick<ConnectConfig, "privateKey" | "agent"> {
  if (target.privateKey === null) {
    const agent = process.env["SSH_AUTH_SOCK"];
    if (agent !== undefined) return { agent };
    throw new StackctlError("ssh_key_unreadable", "no ssh.privateKey is set and no ssh agent runs", {
      details: { host: target.host, remedy: "set ssh.privateKey in cloud.yaml" },
    });
  }
  let text: string;
  try {
    text = readFileSync(target.privateKey, "utf8");
  } catch (cause) {
    throw new StackctlError("ssh_key_unreadable", `the ssh key ${target.privateKey} cannot be read`, {
      details: {
        host: target.host,
        remedy: "mend ssh.privateKey in cloud.yaml, or make a key with: ssh-keygen -t ed25519",
      },
      cause,
    });
  }
  if (/ENCRYPTED/.test(text) || isEncryptedOpenSsh(text)) {
    throw new StackctlError("ssh_key_unreadable", `the ssh key ${target.privateKey} has a passphrase`, {
      details: {
        host: target.host,
        remedy: `ssh-add ${target.privateKey}, and leave ssh.privateKey out of cloud.yaml`,
      },
    });
  }
  return { privateKey: text };
}

/** OpenSSH's own format names the cipher after a fixed head (PROTOCOL.key in OpenSSH's source); `none` is no passphrase. */
function isEncryptedOpenSsh(text: string): boolean {
  const body = /-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]*?)-----END/.exec(text)?.[1];
  if (body === undefined) return false;
  const bytes = Buffer.from(body, "base64");
  const length = bytes.length > 19 ? bytes.readUInt32BE(15) : 0;
  return bytes.subarray(19, 19 + length).toString() !== "none";
}

function unreachable(host: string, place: string, cause: Error & { code?: string }): StackctlError {
  const found =
    cause.code === "ECONNREFUSED"
      ? "refuses connections: does sshd run there?"
      : cause.code === "EHOSTUNREACH" || cause.code === "ENETUNREACH"
        ? "has no route: is it on, and on this network?"
        : /timed? ?out/i.test(cause.message) || cause.code === "ETIMEDOUT"
          ? "does not answer: is it on?"
          : `is not reached: ${cause.message}`;
  return new StackctlError("ssh_unreachable", `${place} ${found}`, {
    retryable: true,
    details: { host, remedy: `try: ssh -v ${host}` },
    cause,
  });
}
