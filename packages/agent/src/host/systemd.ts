import { StackctlError } from "@stackctl/protocol";
import { change, commandFailed, mustSucceed } from "./command.ts";
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
  const states = together(askStates);
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
      // No transient unit: while it reads everything anew systemd may forget how that ended (seen with systemd 252 on a busy
      // host), and to ask it is one step anyway.
      const argv = ["systemctl", "daemon-reload"];
      const { code, stdout, stderr } = await query("systemctl", argv.slice(1), 60_000);
      if (code !== 0) throw commandFailed({ argv, code, output: stdout + stderr });
    },
    stop: async (name) => {
      if ((await states(name)).load === "not-found") return;
      const end = await change(purposeOf(name), ["systemctl", "stop", "--", name], 120_000);
      mustSucceed(end, `on the host: journalctl -u ${name} -n 30`);
    },
  };
}

/**
 * Questions of the same moment asked as one, each answered on its own: to start a process costs more than all that it says.
 * @param ask of many, answers in their order
 */
export function together<T>(
  ask: (names: readonly string[]) => Promise<readonly T[]>,
): (name: string) => Promise<T> {
  let waiting: { name: string; resolve: (answer: T) => void; reject: (reason: unknown) => void }[] = [];
  const flush = async (): Promise<void> => {
    const asked = waiting;
    waiting = [];
    try {
      const answers = await ask(asked.map(({ name }) => name));
      if (answers.length !== asked.length) throw new Error("as many answers as questions");
      for (const [index, answer] of answers.entries()) asked[index]?.resolve(answer);
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  };
  return (name) =>
    new Promise((resolve, reject) => {
      waiting.push({ name, resolve, reject });
      if (waiting.length === 1) setImmediate(() => void flush());
    });
}

async function askStates(names: readonly string[]): Promise<readonly UnitStates[]> {
  const args = ["show", "--timestamp=us+utc", "-p", properties, "--", ...names];
  const { code, stdout, stderr } = await query("systemctl", args);
  // One block for each unit, in the order in which they were asked for; systemd 252.
  const parsed = stdout.trim().split("\n\n").map(parseUnitStates);
  const known = parsed.filter((each) => each !== null);
  if (code === 0 && known.length === names.length) return known;
  throw new StackctlError("command_failed", `systemd says nothing of ${names.join(", ")}: ${stderr.trim()}`, {
    retryable: true,
    details: { command: { argv: ["systemctl", ...args], code, stderr: lastLines(stdout + stderr) } },
  });
}

/** Commands about one unit run one after the other. */
function purposeOf(unit: string): string {
  return `unit-${unit.replace(/\.service$/, "").replaceAll(/[^A-Za-z0-9]+/g, "-")}`;
}
