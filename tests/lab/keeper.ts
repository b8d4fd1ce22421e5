import { spawn } from "node:child_process";
import { existsSync, openSync, readFileSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeCgroups, processesOf } from "./cgroup.ts";
import { within } from "./command.ts";
import { nspawnArguments } from "./host.ts";
import { hostPaths, readLab, type Lab } from "./lab.ts";
import { flushAddresses, setLinks } from "./network.ts";
import { networkNames } from "./lab.ts";

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
  await within(5000, () => processesOf(lab, host).length === 0);
  await flushAddresses(lab, host);
  await setLinks(lab, host, networkNames, true);
  const log = openSync(hostPaths(lab, host).log, "a");
  const script = 'n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ > "$1"; shift; n=$((n - 1)); done; exec "$@"';
  const groups = makeCgroups(lab, host);
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

/** Keeps one host as its `power` file says, through reboots and crashes of its container. */
async function keep(lab: Lab, host: string, changed: () => Promise<void>): Promise<void> {
  for (;;) {
    if (wantedPower(lab, host) === "off") {
      await changed();
      continue;
    }
    const begun = performance.now();
    const code = await boot(lab, host);
    // `poweroff` inside leaves it off until somebody presses the button; a crash or a reboot does not.
    if (code === 0 && wantedPower(lab, host) === "on") setPower(lab, host, "off");
    if (code !== rebootCode && performance.now() - begun < 1000)
      await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** `keeper.ts NAME`: one process per lab, which starts its hosts and starts them again. Ended by its pid. */
async function main(): Promise<void> {
  const lab = readLab(process.argv[2] ?? "");
  await Promise.all(
    lab.hosts.map(async ({ name }) => {
      const folder = hostPaths(lab, name).folder;
      let wake: () => void = () => undefined;
      watch(folder, (_event, file) => {
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
}

if (process.argv[1] === join(import.meta.dirname, "keeper.ts")) await main();
