import { spawn, execFileSync, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { freePort, until } from "./world.ts";

/** A real sshd on loopback with a host key and a configuration of its own; nothing of this machine's is used. */
export interface Sshd {
  readonly address: string;
  readonly port: number;
  /** `SHA256:...` of its only host key. */
  readonly fingerprint: string;
  /** What it has logged so far. */
  readonly log: () => string;
  readonly stop: () => Promise<void>;
}

/** Who may log in: the user that the tests run as. */
export const { username } = userInfo();

/** @param more lines of sshd_config(5) */
export async function startSshd(options: {
  readonly authorizedKeys: readonly string[];
  readonly address?: string;
  readonly port?: number;
  readonly more?: readonly string[];
}): Promise<Sshd> {
  const folder = mkdtempSync(join(tmpdir(), "stackctl-sshd-"));
  const address = options.address ?? "127.0.0.1";
  const port = options.port ?? (await freePort());
  const hostKey = makeKey(join(folder, "host_key"));
  writeFileSync(join(folder, "authorized_keys"), options.authorizedKeys.join("\n"));
  const config = join(folder, "sshd_config");
  const lines = [
    `ListenAddress ${address}:${String(port)}`,
    `HostKey ${hostKey.file}`,
    `AuthorizedKeysFile ${join(folder, "authorized_keys")}`,
    "PidFile none",
    "LogLevel VERBOSE",
    // The folder for temporary files is everybody's.
    "StrictModes no",
    "PermitRootLogin prohibit-password",
    "PasswordAuthentication no",
    // An account without a password counts as locked without PAM.
    "UsePAM yes",
    "MaxStartups 100",
  ];
  // sshd takes the first of two lines of the same key.
  writeFileSync(config, [...(options.more ?? []), ...lines].join("\n"));
  // sshd's separated processes live in it; Debian's unit makes it, and that does not run here.
  mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const child = spawn("/usr/sbin/sshd", ["-D", "-e", "-f", config], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  await until("sshd listens", async () => {
    if (child.exitCode !== null) throw new Error(`sshd ended: ${log}`);
    return takes(address, port);
  });
  return {
    address,
    port,
    fingerprint: hostKey.fingerprint,
    log: () => log,
    stop: async () => {
      await ended(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A real ssh-agent, with no key in it. */
export async function startSshAgent(folder: string): Promise<{
  readonly socket: string;
  readonly add: (key: string) => void;
  readonly stop: () => Promise<void>;
}> {
  const socket = join(folder, `agent-${String(process.hrtime.bigint())}`);
  const child = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
  const environment = { ...process.env, SSH_AUTH_SOCK: socket };
  await until("ssh-agent listens", () => takes(socket));
  return {
    socket,
    add: (key) => {
      execFileSync("ssh-add", ["-q", key], { env: environment });
    },
    stop: () => ended(child),
  };
}

/** A new key pair in this file. */
export function makeKey(
  file: string,
  passphrase = "",
  more: readonly string[] = ["-t", "ed25519"],
): { readonly file: string; readonly publicKey: string; readonly fingerprint: string } {
  execFileSync("ssh-keygen", ["-q", ...more, "-N", passphrase, "-f", file]);
  const [, fingerprint = ""] = execFileSync("ssh-keygen", ["-lf", `${file}.pub`], { encoding: "utf8" }).split(
    " ",
  );
  return { file, publicKey: readFileSync(`${file}.pub`, "utf8").trim(), fingerprint };
}

function takes(...where: [string] | [string, number]): Promise<boolean> {
  const [place, port] = where;
  return new Promise((resolve) => {
    const socket = port === undefined ? connect(place) : connect(port, place);
    const done = (answer: boolean) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", done(true)).once("error", done(false));
  });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await gone;
}
