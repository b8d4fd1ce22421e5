import { closeSync, constants, fchmodSync, fstatSync, mkdirSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { hostPaths, StackctlError } from "@stackctl/protocol";
import { fileFailed } from "./files.ts";
import { environment, lastLines, query } from "./query.ts";

/** How a command that changes the host ended. */
export interface CommandEnd {
  readonly argv: readonly string[];
  /** Null: it was ended by a signal, or somebody stopped its unit. */
  readonly code: number | null;
  /** What it said on both its outputs, at most the last MiB. */
  readonly output: string;
}

const folder = join(hostPaths.state, "commands");
/** Commands of one purpose run one after the other. */
const queues = new Map<string, Promise<unknown>>();

/**
 * The one way to run a command that changes the host: as a transient systemd unit `stackctl-<purpose>.service`, so that
 * stopping, killing or upgrading the agent never stops dpkg half way. A unit of that name that still runs, from a
 * former agent, is waited for first. The exit code is for the caller to judge; `mustSucceed` does.
 * @param purpose short and always the same, such as `apt`; letters, digits and `-`
 * @param timeoutMs how long it may run; then systemd ends it, even when the agent is gone
 * @throws StackctlError `command_timeout`; `command_failed` when systemd does not start it; `disk_full`
 */
export function change(purpose: string, argv: readonly string[], timeoutMs: number): Promise<CommandEnd> {
  const before = queues.get(purpose) ?? Promise.resolve();
  const run = before.then(
    () => runAsUnit(purpose, argv, timeoutMs),
    () => runAsUnit(purpose, argv, timeoutMs),
  );
  queues.set(purpose, run);
  // The caller gets the failure; the queue only needs to know that it is over.
  run.then(forget, forget);
  return run;

  function forget(): void {
    if (queues.get(purpose) === run) queues.delete(purpose);
  }
}

/** @throws StackctlError `command_failed` with the end of what it said, unless it ended with 0 */
export function mustSucceed(end: CommandEnd, remedy?: string): void {
  if (end.code !== 0) throw commandFailed(end, remedy);
}

/** The error of a command that ended badly: its most telling line in the message, its last ones in the details. */
export function commandFailed(end: CommandEnd, remedy?: string): StackctlError {
  const how = end.code === null ? "was stopped" : `ended with ${String(end.code)}`;
  return new StackctlError("command_failed", `${titleOf(end.argv)} ${how}: ${telling(end.output)}`, {
    retryable: true,
    details: {
      command: { argv: end.argv, code: end.code, stderr: lastLines(end.output) },
      ...(remedy === undefined ? {} : { remedy }),
    },
  });
}

async function runAsUnit(purpose: string, argv: readonly string[], timeoutMs: number): Promise<CommandEnd> {
  const unit = `stackctl-${purpose}.service`;
  const log = join(folder, `${purpose}.log`);
  prepareLog(log);
  const properties = [
    // Not `Type=exec`: with it the exit code of a command that ends at once is lost (seen with systemd 252).
    "Type=simple",
    `StandardOutput=truncate:${log}`,
    "StandardError=inherit",
    `RuntimeMaxSec=${String(Math.ceil(timeoutMs / 1000))}`,
    "TimeoutStopSec=60",
    "UMask=0022",
    ...Object.entries(environment).map(([name, value]) => `Environment=${name}=${value}`),
  ];
  // systemd.service(5): `$` begins a variable in every argument.
  const literal = argv.map((argument) => argument.replaceAll("$", "$$$$"));
  const started = performance.now();
  for (;;) {
    const { stderr } = await query(
      "systemd-run",
      [
        "--no-ask-password",
        "--wait",
        "--collect",
        `--unit=${unit}`,
        ...properties.flatMap((property) => ["-p", property]),
        "--",
        ...literal,
      ],
      // systemd keeps the deadline; this one is for systemd itself.
      timeoutMs + 90_000,
    );
    if (/was already loaded or has a fragment file/.test(stderr)) {
      await ended(unit, timeoutMs - (performance.now() - started));
      continue;
    }
    const result = /^Finished with result: (\S+)$/m.exec(stderr)?.[1];
    const [, how, status] = /^Main processes terminated with: code=(\w+)\/status=(\w+)$/m.exec(stderr) ?? [];
    if (result === "timeout") {
      throw new StackctlError(
        "command_timeout",
        `${titleOf(argv)} did not end within ${String(timeoutMs / 1000)} s`,
        {
          retryable: true,
          details: { command: { argv, code: null, stderr: lastLines(readEnd(log)) } },
        },
      );
    }
    if (result === undefined || how === undefined) {
      throw new StackctlError("command_failed", `systemd did not run ${titleOf(argv)}: ${telling(stderr)}`, {
        retryable: true,
        details: { command: { argv, code: null, stderr: lastLines(stderr) } },
      });
    }
    // A unit that somebody stops has the result `success` too: only the exit code tells.
    return { argv, code: how === "exited" ? Number(status) : null, output: readEnd(log) };
  }
}

/** Waits until no unit of this name runs: a former agent's command. */
async function ended(unit: string, timeoutMs: number): Promise<void> {
  const until = performance.now() + timeoutMs;
  for (;;) {
    const { stdout } = await query("systemctl", ["show", "-p", "ActiveState", "--value", "--", unit]);
    if (["inactive", "failed"].includes(stdout.trim())) return;
    if (performance.now() > until) {
      throw new StackctlError("command_timeout", `${unit} runs since before and does not end`, {
        retryable: true,
        details: { remedy: `on the host: systemctl status ${unit}` },
      });
    }
    await delay(200);
  }
}

/** systemd would make the file readable by all. */
function prepareLog(log: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const descriptor = openSync(log, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    try {
      fchmodSync(descriptor, 0o600);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw fileFailed("write", log, error);
  }
}

function readEnd(log: string): string {
  const descriptor = openSync(log, "r");
  try {
    const { size } = fstatSync(descriptor);
    const buffer = Buffer.alloc(Math.min(size, 1 << 20));
    return buffer
      .subarray(0, readSync(descriptor, buffer, 0, buffer.length, size - buffer.length))
      .toString("utf8");
  } finally {
    closeSync(descriptor);
  }
}

/** A command without its options, for people: `apt-get install chrony`. */
function titleOf(argv: readonly string[]): string {
  const words = argv.filter((word, index) => !word.startsWith("-") && argv[index - 1] !== "-o");
  return words.join(" ").slice(0, 120);
}

/** The line that says most: apt's and dpkg's errors are marked, others end with theirs. */
function telling(output: string): string {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  const marked = lines.find((line) => /^(E:|error:|dpkg: error|fatal)/i.test(line));
  return (marked ?? lines.at(-1) ?? "it said nothing").trim().slice(0, 300);
}
