import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";

/** How a command ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command of this machine to its end; its exit code is for the caller to judge. */
export function run(
  file: string,
  args: readonly string[],
  options: { timeoutMs?: number; input?: string } = {},
): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(
      file,
      args,
      { timeout: options.timeoutMs ?? 120_000, maxBuffer: 64 * 1024 * 1024, encoding: "utf8" },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : null;
        resolve({ code, stdout, stderr: code === null ? `${stderr}${error?.message ?? ""}` : stderr });
      },
    );
    if (options.input !== undefined) child.stdin?.end(options.input);
  });
}

/** The output of a command that must end well. @throws Error with the command and the end of what it said */
export async function output(
  file: string,
  args: readonly string[],
  options: { timeoutMs?: number; input?: string } = {},
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
export function lives(mark: ProcessMark | null): boolean {
  return mark !== null && markOf(mark.pid)?.start === mark.start;
}

/** Ends a marked process: SIGTERM, and SIGKILL when it has not gone after `graceMs`. Never touches another one. */
export async function end(mark: ProcessMark | null, graceMs: number): Promise<void> {
  if (mark === null || !lives(mark)) return;
  process.kill(mark.pid, "SIGTERM");
  if (await within(graceMs, () => !lives(mark))) return;
  if (lives(mark)) process.kill(mark.pid, "SIGKILL");
  await within(5000, () => !lives(mark));
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
