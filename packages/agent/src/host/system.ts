import { hostname } from "node:os";
import { change } from "./command.ts";
import { readOrNull } from "./files.ts";
import type { System } from "./host.ts";

/** The rest of the machine. */
export function linuxSystem(): System {
  return {
    bootId: () => (readOrNull("/proc/sys/kernel/random/boot_id") ?? "").trim(),
    hostname,
    setHostname: (name) => change("hostname", ["hostname", "--", name], 10_000),
    reboot: () => change("reboot", ["systemctl", "reboot", "--no-block"], 30_000),
  };
}
