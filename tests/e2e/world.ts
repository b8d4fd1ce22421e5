import { setTimeout as pause } from "node:timers/promises";
import {
  applyResult,
  statusResult,
  type ApplyResult,
  type EventView,
  type StatusResult,
} from "@stackctl/protocol";
import { runOn, type Lab } from "../lab/lab.ts";
import type { Ended, Stack } from "../stack.ts";

/** The output of a command on a lab host; the command must end well. */
export async function on(lab: Lab, host: string, ...argv: string[]): Promise<string> {
  const { code, stdout, stderr } = await runOn(lab, host, argv);
  if (code !== 0) throw new Error(`${host}: ${argv.join(" ")}: exit ${String(code)}: ${stderr}`);
  return stdout;
}

/** The boot id of every host. */
export async function bootIds(lab: Lab): Promise<Record<string, string>> {
  const pairs = lab.hosts.map(
    async ({ name }) =>
      [name, (await on(lab, name, "cat", "/proc/sys/kernel/random/boot_id")).trim()] as const,
  );
  return Object.fromEntries(await Promise.all(pairs));
}

/** A digest of everything that a plan must not touch: configuration, packages, units, the agent's own state. */
export async function treeHash(lab: Lab, host: string): Promise<string> {
  return on(
    lab,
    host,
    "sh",
    "-c",
    "find /etc /opt/stackctl /var/lib/stackctl-agent /var/lib/dpkg /var/lib/chrony -xdev -type f ! -name '*.drift' ! -name 'lock*' -printf '%p %m %u %s %T@\\n' | sort | sha256sum",
  );
}

/** What `apply --json` printed. */
export function applied(ended: Ended): ApplyResult {
  try {
    return applyResult.parse(JSON.parse(ended.stdout));
  } catch (cause) {
    throw new Error(`apply printed no result (exit ${String(ended.code)}): ${ended.stdout} ${ended.stderr}`, {
      cause,
    });
  }
}

/** What `status --json` prints now. */
export async function status(stack: Stack): Promise<StatusResult> {
  const ended = await stack.run(["status", "--json"]);
  return statusResult.parse(JSON.parse(ended.stdout));
}

/** The last events, oldest first. */
export async function events(stack: Stack, limit = 200): Promise<EventView[]> {
  const ended = await stack.run(["events", "--json", "--limit", String(limit)]);
  return ended.stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as EventView);
}

/** Asks until the answer is not null, at most this long. */
export async function until<T>(what: string, seconds: number, ask: () => Promise<T | null>): Promise<T> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer !== null) return answer;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${String(seconds)} s`);
    await pause(200);
  }
}

/** Waits for a green status. */
export async function green(stack: Stack, seconds: number): Promise<StatusResult> {
  let last: StatusResult | null = null;
  try {
    return await until("green", seconds, async () => {
      last = await status(stack);
      return last.outcome === "green" ? last : null;
    });
  } catch (cause) {
    throw new Error(`not green within ${String(seconds)} s: ${JSON.stringify(last)}`, { cause });
  }
}
