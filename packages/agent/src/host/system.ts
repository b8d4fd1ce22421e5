import { hostname } from "node:os";
import { change } from "./command.ts";
import { readOrNull } from "./files.ts";
import type { System } from "./host.ts";

/** The rest of the machine. */
export function linuxSystem(): System {
  return {
    bootId: () => (readOrNull("/proc/sys/kernel/random/boot_id") ?? "").trim(),
    hostname,
    uptimeSeconds: uptime,
    setHostname: (name) => change("hostname", ["hostname", "--", name], 10_000),
    reboot: () => change("reboot", ["systemctl", "reboot", "--no-block"], 30_000),
  };
}

/** Seconds since PID 1 began: in a container that is younger than the machine's kernel (proc(5), field 22 of stat). */
function uptime(): number {
  const stat = readOrNull("/proc/1/stat") ?? "";
  const ticks = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "0");
  const seconds = Number((readOrNull("/proc/uptime") ?? "0").split(" ")[0]);
  return Math.max(0, Math.round(seconds - ticks / 100));
}
