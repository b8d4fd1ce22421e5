import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Lab } from "./lab/lab.ts";

/** The checkout's root. */
export const root = join(import.meta.dirname, "..");

/** How a command ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly seconds: number;
}

/** One cloud as an operator has it: a file, a home, and the command line. */
export interface Stack {
  readonly cloudFile: string;
  readonly home: string;
  /** Runs `stackctl` with these arguments to its end. */
  readonly run: (
    args: readonly string[],
    options?: { readonly input?: string; readonly timeoutMs?: number },
  ) => Promise<Ended>;
  /** Starts `stackctl` and lets it run; `stdout` gives what it has printed so far. */
  readonly start: (args: readonly string[]) => {
    readonly pid: number;
    readonly ended: Promise<Ended>;
    readonly stdout: () => string;
  };
}

/**
 * A cloud whose file and home are in `folder`.
 * @param command the command line. @default the checkout's launcher
 */
export function stackIn(
  folder: string,
  home: string = join(folder, ".stackctl"),
  command: readonly string[] = [join(root, "stackctl")],
): Stack {
  const cloudFile = join(folder, "cloud.yaml");
  const start = (args: readonly string[], input = "", timeoutMs = 1_200_000): ReturnType<Stack["start"]> => {
    const begun = performance.now();
    const [program = "", ...words] = command;
    const child = spawn(program, [...words, "--cloud", cloudFile, ...args], {
      env: { ...process.env, STACKCTL_HOME: home, NO_COLOR: "1" },
      stdio: ["pipe", "pipe", "pipe"],
      timeout: timeoutMs,
    });
    child.stdin.end(input);
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const ended = new Promise<Ended>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => {
        resolve({ code, stdout, stderr, seconds: (performance.now() - begun) / 1000 });
      });
    });
    return { pid: child.pid ?? 0, ended, stdout: () => stdout };
  };
  return {
    cloudFile,
    home,
    start: (args) => start(args),
    run: (args, options = {}) => start(args, options.input, options.timeoutMs).ended,
  };
}

/** The arguments of `stackctl init` that describe a lab. */
function initArguments(lab: Lab): string[] {
  const count = (role: string): string => String(lab.hosts.filter((host) => host.role === role).length);
  const { management, public: outside, data } = lab.networks;
  return [
    "init",
    ...["--name", lab.name],
    ...["--controllers", count("controller")],
    ...["--computes", count("compute")],
    ...["--management", management.cidr],
    ...["--public", outside.cidr],
    ...["--data", data.cidr],
    ...["--nics", [management.interface, outside.interface, data.interface].join(",")],
    ...["--ssh-user", lab.ssh.user],
    ...["--ssh-port", String(lab.ssh.port)],
    ...["--ssh-key", lab.ssh.privateKey],
    ...["--time-server", lab.timeServer],
    ...["--absent-after", "60s"],
    ...(lab.proxy === null ? [] : ["--proxy", withUser(lab.proxy.url, lab.proxy.user)]),
    ...(lab.mirror === null ? [] : ["--mirror", lab.mirror]),
    ...(lab.securityMirror === null ? [] : ["--security-mirror", lab.securityMirror]),
  ];
}

/**
 * Writes `cloud.yaml` for a lab, and puts the proxy's password into the vault.
 * @param more further arguments of `stackctl init`
 */
export async function initStack(stack: Stack, lab: Lab, more: readonly string[] = []): Promise<void> {
  if (!existsSync(stack.cloudFile)) await succeed(stack.run([...initArguments(lab), ...more]));
  if (lab.proxy !== null) {
    const password = readFileSync(lab.proxy.passwordFile, "utf8").trim();
    await succeed(stack.run(["secret", "set", "packages-proxy-password"], { input: password }));
  }
}

/** The command's end, which must be a good one. */
export async function succeed(ended: Promise<Ended>): Promise<Ended> {
  const result = await ended;
  if (result.code !== 0) throw new Error(`exit ${String(result.code)}\n${result.stdout}\n${result.stderr}`);
  return result;
}

function withUser(url: string, user: string): string {
  const parsed = new URL(url);
  parsed.username = user;
  return parsed.toString().replace(/\/$/, "");
}
