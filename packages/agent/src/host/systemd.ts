import { change, query } from "./command.ts";
import type { Units } from "./host.ts";

/** Units by systemd. */
export function linuxUnits(): Units {
  return {
    status: async (name) => {
      const { stdout } = await query("systemctl", [
        "show",
        "-p",
        "LoadState,ActiveState,UnitFileState",
        name,
      ]);
      const field = (key: string): string => new RegExp(`^${key}=(.*)$`, "m").exec(stdout)?.[1] ?? "";
      return {
        known: field("LoadState") === "loaded",
        active: field("ActiveState") === "active",
        enabled: field("UnitFileState") === "enabled",
      };
    },
    enable: (name) => change("systemctl", ["systemctl", "enable", "--quiet", name], 60_000),
    restart: (name) => change("systemctl", ["systemctl", "restart", name], 120_000),
    stop: (name) => change("systemctl", ["systemctl", "stop", name], 120_000),
  };
}
