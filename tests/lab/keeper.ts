import { spawn } from "node:child_process";
import { existsSync, openSync, readFileSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { makeCgroups, processesOf } from "./cgroup.ts";
import { lives, markOf, signal, within } from "./command.ts";
import { nspawnArguments } from "./host.ts";
import { containerMarks, hostPaths, networkNames, readLab, type Lab } from "./lab.ts";
import { take } from "./lock.ts";
import { flushAddresses, setLinks } from "./network.ts";

/** nspawn's exit code when the host asked for a reboot (systemd-nspawn(1), --keep-unit). */
const rebootCode = 133;

/** Whether a host should run: one word in its `power` file. */
export function wantedPower(lab: Lab, host: string): "on" | "off" {
  const { power } = hostPaths(lab, host);
  return existsSync(power) && readFileSync(power, "utf8").trim() === "on" ? "on" : "off";
}

/** Says whether a host should run; the keeper acts on it. */
export function setPower(lab: Lab, host: string, power: "on" | "off"): void {
  writeFileSync(hostPaths(lab, host).power, power);
}

/** Starts a host's container and waits for its end. The container's processes are in the host's own cgroups. */
async function boot(lab: Lab, host: string): Promise<number | null> {
  // A container may end with processes left in its groups; none of them may reach into the next boot.
  await within(10_000, () => {
    const marks = processesOf(lab, host).map(markOf);
    for (const mark of marks) if (mark !== null) signal(mark, "SIGKILL");
    return marks.length === 0;
  });
  await flushAddresses(lab, host);
  await setLinks(lab, host, networkNames, true);
  const log = openSync(hostPaths(lab, host).log, "a");
  const script = 'n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ > "$1"; shift; n=$((n - 1)); done; exec "$@"';
  const groups = makeCgroups(lab, host);
  // The power may have been cut while this was being made ready.
  if (wantedPower(lab, host) === "off") return null;
  const child = spawn(
    "sh",
    ["-c", script, "boot", String(groups.length), ...groups, "systemd-nspawn", ...nspawnArguments(lab, host)],
    {
      detached: true,
      stdio: ["ignore", log, log],
      env: { PATH: process.env["PATH"], SYSTEMD_NSPAWN_API_VFS_WRITABLE: "yes" },
    },
  );
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => {
      resolve(code);
    });
  });
}

/** Waits for the end of a container that an earlier keeper, which was killed, has left running. */
async function seeOff(lab: Lab, host: string): Promise<void> {
  for (const mark of containerMarks(lab, host)) while (lives(mark)) await pause(200);
}

/** Keeps one host as its `power` file says, through reboots and crashes of its container, until the lab is gone. */
async function keep(lab: Lab, host: string, changed: () => Promise<void>): Promise<void> {
  // How that one ends cannot be known: it counts as a reboot.
  await seeOff(lab, host);
  while (existsSync(hostPaths(lab, host).folder)) {
    if (wantedPower(lab, host) === "off") {
      await changed();
      continue;
    }
    const begun = performance.now();
    const code = await boot(lab, host);
    // `poweroff` inside leaves it off until somebody presses the button; a crash or a reboot does not.
    if (code === 0 && wantedPower(lab, host) === "on") setPower(lab, host, "off");
    if (code !== rebootCode && performance.now() - begun < 1000) await pause(1000);
  }
}

/** `keeper.ts NAME`: one process per lab, which starts its hosts and starts them again. Ended by its pid. */
async function main(): Promise<void> {
  const lab = readLab(process.argv[2] ?? "");
  // A second keeper would start every host a second time.
  if ((await take(`keeper-${lab.name}`, "keeper")) === null) return;
  await Promise.all(
    lab.hosts.map(async ({ name }) => {
      let wake: () => void = () => undefined;
      watch(hostPaths(lab, name).folder, (_event, file) => {
        if (file === "power") wake();
      });
      await keep(
        lab,
        name,
        () =>
          new Promise<void>((resolve) => {
            wake = resolve;
            // Written between the look and the watch: look again after arming.
            if (wantedPower(lab, name) === "on") resolve();
          }),
      );
    }),
  );
  process.exit(0); // its watches would keep it alive
}

if (process.argv[1] === join(import.meta.dirname, "keeper.ts")) await main();
