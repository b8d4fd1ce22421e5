import { StackctlError } from "@stackctl/protocol";
import { change, mustSucceed } from "./command.ts";
import type { Units } from "./host.ts";
import { lastLines, query } from "./query.ts";

/** A unit's states as systemd(1) names them. */
interface UnitStates {
  readonly load: string;
  readonly active: string;
  readonly file: string;
  readonly stale: boolean;
  readonly startedMs: number | null;
}

/** What is asked of systemd; a time comes as `--timestamp=us+utc` says it, such as `Wed 2026-11-25 02:48:23.123456 UTC`. */
const properties = "LoadState,ActiveState,UnitFileState,NeedDaemonReload,InactiveExitTimestamp";

/**
 * What `systemctl show -p` printed of {@link properties}.
 * @returns null when it is not of that form
 */
export function parseUnitStates(text: string): UnitStates | null {
  const field = (key: string): string | undefined => new RegExp(`^${key}=(.*)$`, "m").exec(text)?.[1];
  const load = field("LoadState");
  const active = field("ActiveState");
  if (load === undefined || active === undefined) return null;
  const [, day, time] = /^\w+ (\S+) (\S+) UTC$/.exec(field("InactiveExitTimestamp") ?? "") ?? [];
  const startedMs =
    day === undefined || time === undefined ? null : Date.parse(`${day}T${time.slice(0, 12)}Z`);
  // A unit without a file has no state of it.
  return {
    load,
    active,
    file: field("UnitFileState") ?? "",
    stale: field("NeedDaemonReload") === "yes",
    startedMs,
  };
}

/** Units by systemd. */
export function linuxUnits(): Units {
  return {
    status: async (name) => {
      const { load, active, file, stale, startedMs } = await states(name);
      return {
        known: load === "loaded",
        active: active === "active",
        enabled: file === "enabled",
        stale,
        startedMs,
      };
    },
    enable: async (name) => {
      mustSucceed(await change(purposeOf(name), ["systemctl", "enable", "--quiet", "--", name], 60_000));
    },
    restart: async (name) => {
      // systemd refuses a start after five within 10 s, whoever asked for them; ours are deliberate, and this starts the count anew.
      if ((await states(name)).load === "loaded")
        mustSucceed(await change(purposeOf(name), ["systemctl", "reset-failed", "--", name], 60_000));
      const end = await change(purposeOf(name), ["systemctl", "restart", "--", name], 120_000);
      mustSucceed(end, `on the host: journalctl -u ${name} -n 30`);
    },
    start: async (name) => {
      await change(purposeOf(name), ["systemctl", "reset-failed", "--", name], 60_000);
      const end = await change(purposeOf(name), ["systemctl", "start", "--", name], 120_000);
      mustSucceed(end, `on the host: journalctl -u ${name} -n 30`);
    },
    disable: async (name) => {
      if ((await states(name)).load === "not-found") return;
      mustSucceed(await change(purposeOf(name), ["systemctl", "disable", "--quiet", "--", name], 60_000));
    },
    reload: async () => {
      mustSucceed(await change("daemon-reload", ["systemctl", "daemon-reload"], 60_000));
    },
    stop: async (name) => {
      if ((await states(name)).load === "not-found") return;
      const end = await change(purposeOf(name), ["systemctl", "stop", "--", name], 120_000);
      mustSucceed(end, `on the host: journalctl -u ${name} -n 30`);
    },
  };
}

async function states(name: string): Promise<UnitStates> {
  const args = ["show", "--timestamp=us+utc", "-p", properties, "--", name];
  const { code, stdout, stderr } = await query("systemctl", args);
  const parsed = code === 0 ? parseUnitStates(stdout) : null;
  if (parsed !== null) return parsed;
  throw new StackctlError("command_failed", `systemd says nothing of ${name}: ${stderr.trim()}`, {
    retryable: true,
    details: { command: { argv: ["systemctl", ...args], code, stderr: lastLines(stdout + stderr) } },
  });
}

/** Commands about one unit run one after the other. */
function purposeOf(unit: string): string {
  return `unit-${unit.replace(/\.service$/, "").replaceAll(/[^A-Za-z0-9]+/g, "-")}`;
}
