import { readFileSync, writeFileSync } from "node:fs";

/**
 * The machine's limits that labs run into, each with the least that is enough for a few labs. All hosts draw on the
 * machine's own: without this the sixteenth or so boots with "Failed to create inotify object: Too many open files",
 * and agents that run already cannot watch files any more. A booted host takes 8 inotify instances (kernel's default: 128).
 */
const limits: Readonly<Record<string, number>> = {
  "/proc/sys/fs/inotify/max_user_instances": 2048,
};

/** Raises what is too low, never lowers anything; the machine's next boot takes it back. */
export function raiseLimits(say: (text: string) => void): void {
  for (const [file, least] of Object.entries(limits)) {
    const now = Number(readFileSync(file, "utf8"));
    if (now >= least) continue;
    writeFileSync(file, String(least));
    say(
      `raised this machine's ${file.slice("/proc/sys/".length).replaceAll("/", ".")} from ${String(now)} to ${String(least)}`,
    );
  }
}
