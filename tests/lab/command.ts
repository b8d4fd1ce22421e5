import { execFile } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";

/** How a command ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command is run. */
export interface RunOptions {
  /** @default 120000 */
  readonly timeoutMs?: number;
  /** Its standard input; nothing unless given. */
  readonly input?: string;
  /**
   * Let it come to its end when this process is killed. Others are killed with it, so that nothing goes on changing what
   * the next command looks at.
   * @default false
   */
  readonly outlives?: boolean;
}

/** Runs a command of this machine to its end; its exit code is for the caller to judge. */
export function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const command =
    options.outlives === true ? [file, ...args] : ["setpriv", "--pdeathsig=KILL", "--", file, ...args];
  return new Promise((resolve) => {
    const child = execFile(
      command[0] ?? "",
      command.slice(1),
      { timeout: options.timeoutMs ?? 120_000, maxBuffer: 64 * 1024 * 1024, encoding: "utf8" },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : null;
        resolve({ code, stdout, stderr: code === null ? `${stderr}${error?.message ?? ""}` : stderr });
      },
    );
    // A command may end before it has read its input: what it then says counts, not that the pipe is closed.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(options.input ?? "");
  });
}

/** The output of a command that must end well. @throws Error with the command and the end of what it said */
export async function output(
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await run(file, args, options);
  if (code === 0) return stdout;
  throw new Error(
    `${[file, ...args].join(" ")}: exit ${String(code)}\n${`${stdout}${stderr}`.trim().split("\n").slice(-20).join("\n")}`,
  );
}

/** A process as it can be told from a later one with the same number. */
export interface ProcessMark {
  readonly pid: number;
  /** Start time in clock ticks since boot: field 22 of proc(5)'s stat. */
  readonly start: string;
}

/** The mark of a living process; null when there is none of that number. */
export function markOf(pid: number): ProcessMark | null {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, "utf8");
    // The command's name may hold spaces and parentheses; what follows the last one does not.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z") return null;
    return { pid, start: fields[19] ?? "" };
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** True while the very process that was marked lives. */
export function lives(mark: ProcessMark): boolean {
  return markOf(mark.pid)?.start === mark.start;
}

/** Every process whose arguments satisfy the claim. Arguments, not names: they hold the lab and its folder. */
export function processesWith(claim: (argv: readonly string[]) => boolean): ProcessMark[] {
  const found: ProcessMark[] = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    const argv = readProc(`${entry}/cmdline`).split("\0").slice(0, -1);
    if (!claim(argv)) continue;
    const mark = markOf(Number(entry));
    if (mark !== null) found.push(mark);
  }
  return found;
}

/** A file of /proc; empty when its process ended meanwhile. */
export function readProc(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, "utf8");
  } catch (error) {
    if (isMissing(error)) return "";
    throw error;
  }
}

/** Sends a signal to a marked process, and to no other that got its number. */
export function signal(mark: ProcessMark, name: "SIGTERM" | "SIGKILL"): void {
  if (!lives(mark)) return;
  try {
    process.kill(mark.pid, name);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

/** Ends a marked process: SIGTERM, and SIGKILL when it has not gone after `graceMs`. Never touches another one. */
export async function end(mark: ProcessMark, graceMs: number): Promise<void> {
  signal(mark, "SIGTERM");
  if (await within(graceMs, () => !lives(mark))) return;
  signal(mark, "SIGKILL");
  if (!(await within(5000, () => !lives(mark))))
    throw new Error(`process ${String(mark.pid)} does not end, not even by SIGKILL`);
}

/** True as soon as the claim holds, false when it did not within `ms`. */
export async function within(ms: number, claim: () => boolean | Promise<boolean>): Promise<boolean> {
  const until = performance.now() + ms;
  for (;;) {
    if (await claim()) return true;
    if (performance.now() > until) return false;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** True for the error that says there is no such file or process. */
export function isMissing(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : null;
  return code === "ENOENT" || code === "ESRCH";
}
