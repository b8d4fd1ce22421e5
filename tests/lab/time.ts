import { spawn } from "node:child_process";
import { existsSync, openSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { end, output, processesWith, within, type ProcessMark } from "./command.ts";
import type { Lab } from "./lab.ts";

/** Starts the time for a lab: a chronyd on its management bridge that follows nothing and sets no clock. Repeatable. */
export async function startTime(lab: Lab): Promise<void> {
  if (timeMarks(lab).length > 0) return;
  const pid = join(lab.directory, "chronyd.pid");
  rmSync(pid, { force: true });
  writeFileSync(
    configurationFile(lab),
    [
      `bindaddress ${lab.networks.management.gateway}`,
      `allow ${lab.networks.management.cidr}`,
      "local stratum 8",
      "cmdport 0",
      "bindcmdaddress /",
      `pidfile ${pid}`,
      `driftfile ${join(lab.directory, "chrony.drift")}`,
      "",
    ].join("\n"),
  );
  const file = join(lab.directory, "chrony.log");
  const log = openSync(file, "a");
  spawn("chronyd", ["-x", "-d", "-u", "root", "-f", configurationFile(lab)], {
    detached: true,
    stdio: ["ignore", log, log],
  }).unref();
  // It has its port before it writes its pid.
  if (await within(5000, () => existsSync(pid))) return;
  throw new Error(`the lab's chronyd did not start:\n${await output("tail", ["-n", "5", file])}`);
}

/** Ends the lab's chronyd. Repeatable. */
export async function stopTime(lab: Lab): Promise<void> {
  for (const mark of timeMarks(lab)) await end(mark, 3000);
}

function configurationFile(lab: Lab): string {
  return join(lab.directory, "chrony.conf");
}

function timeMarks(lab: Lab): ProcessMark[] {
  return processesWith((argv) => argv[0] === "chronyd" && argv.includes(configurationFile(lab)));
}
