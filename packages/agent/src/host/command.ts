import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { hostPaths, StackctlError } from "@stackctl/protocol";
import { readOrNull } from "./files.ts";

/** How a command ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const environment = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LC_ALL: "C.UTF-8",
  DEBIAN_FRONTEND: "noninteractive",
  HOME: "/root",
};

/** Runs a command that reads only, to its end; its exit code is for the caller to judge. */
export function query(file: string, args: readonly string[], timeoutMs = 10_000): Promise<Ended> {
  return new Promise((resolve, reject) => {
    execFile(
      file,
      args,
      { timeout: timeoutMs, maxBuffer: 1 << 20, env: environment, encoding: "utf8" },
      (error, stdout, stderr) => {
        if (error?.killed === true) {
          reject(
            new StackctlError(
              "command_timeout",
              `${file} ${args.join(" ")} took more than ${String(timeoutMs / 1000)} s`,
              { retryable: true },
            ),
          );
          return;
        }
        resolve({
          code: error === null ? 0 : typeof error.code === "number" ? error.code : null,
          stdout,
          stderr,
        });
      },
    );
  });
}

/**
 * The one way to run a command that changes the host: as a transient systemd unit, so that stopping, killing or
 * upgrading the agent never stops dpkg half way. A unit of that name that still runs from a former agent is
 * waited for first.
 * @param purpose short name, such as `apt`: one command of a purpose runs at a time
 * @throws StackctlError `command_failed` with the end of what it said, `command_timeout`
 */
export async function change(purpose: string, argv: readonly string[], timeoutMs: number): Promise<void> {
  const unit = `stackctl-${purpose}.service`;
  await settled(unit, timeoutMs);
  const folder = join(hostPaths.state, "commands");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const output = join(folder, `${purpose}.log`);
  const properties = [
    "Type=exec",
    `StandardOutput=truncate:${output}`,
    `StandardError=truncate:${output}`,
    `RuntimeMaxSec=${String(Math.ceil(timeoutMs / 1000))}`,
    "UMask=0022",
    "OOMScoreAdjust=-100",
    ...Object.entries(environment).map(([name, value]) => `Environment=${name}=${value}`),
  ];
  const { code, stderr } = await query(
    "systemd-run",
    [
      "--quiet",
      "--wait",
      "--collect",
      `--unit=${unit}`,
      ...properties.flatMap((property) => ["-p", property]),
      "--",
      ...argv,
    ],
    timeoutMs + 30_000,
  );
  if (code === 0) return;
  const said = (readOrNull(output) ?? stderr).trim().split("\n").slice(-20).join("\n");
  throw new StackctlError(
    "command_failed",
    `${argv.slice(0, 3).join(" ")} ended with ${String(code)}: ${lastLine(said)}`,
    {
      retryable: true,
      details: { command: { argv, code, stderr: said } },
    },
  );
}

/** Waits until no unit of this name runs. */
async function settled(unit: string, timeoutMs: number): Promise<void> {
  const until = Date.now() + timeoutMs;
  for (;;) {
    const { stdout } = await query("systemctl", ["show", "-p", "ActiveState", "--value", unit]);
    if (!["active", "activating", "deactivating", "reloading"].includes(stdout.trim())) return;
    if (Date.now() > until)
      throw new StackctlError("command_timeout", `${unit} does not end`, {
        retryable: true,
        details: { remedy: `systemctl stop ${unit}` },
      });
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

function lastLine(text: string): string {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return (
    lines.findLast((line) => /^(E:|error|fatal)/i.test(line)) ??
    lines.at(-1) ??
    "it said nothing"
  ).slice(0, 300);
}
