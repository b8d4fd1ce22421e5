import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { StackctlError } from "@stackctl/protocol";
import { change, mustSucceed } from "./command.ts";
import { readOrNull } from "./files.ts";
import type { System } from "./host.ts";

/** Long enough for guests and databases to be shut down in order. */
const rebootMinutes = 15;

/** The rest of the machine. */
export function linuxSystem(): System {
  return {
    bootId: () => (readOrNull("/proc/sys/kernel/random/boot_id") ?? "").trim(),
    hostname,
    uptimeSeconds: uptime,
    // hostnamectl would need dbus and polkit, which a small Debian lacks.
    setHostname: async (name) => {
      mustSucceed(await change("hostname", ["hostname", "--", name], 10_000));
    },
    reboot: async () => {
      mustSucceed(await change("reboot", ["systemctl", "reboot", "--no-block"], 30_000));
      await delay(rebootMinutes * 60_000, undefined, { ref: false });
      throw new StackctlError(
        "command_timeout",
        `still up ${String(rebootMinutes)} minutes after systemd was asked to reboot`,
        { retryable: true, details: { remedy: "on the host: systemctl list-jobs" } },
      );
    },
  };
}

/** Seconds since PID 1 began: in a container that is younger than the machine's kernel (proc(5), field 22 of stat). */
function uptime(): number {
  const stat = readOrNull("/proc/1/stat") ?? "";
  const ticks = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "0");
  const seconds = Number((readOrNull("/proc/uptime") ?? "0").split(" ")[0]);
  return Math.max(0, Math.round(seconds - ticks / 100));
}
