import { StackctlError } from "@stackctl/protocol";
import { mustSucceed } from "./command.ts";
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
  // One step, and the dearest of all: systemd reads every unit anew and runs its generators.
  const reload = (): Promise<void> => must(["daemon-reload"]);
  const startAnew = async (name: string, how: "start" | "restart"): Promise<void> => {
    // systemd refuses a start after five within 10 s, whoever asked for them; ours are deliberate, and this starts the count
    // anew. One that it has only just seen has no count.
    const { load, startedMs } = await states(name);
    if (load === "loaded" && startedMs !== null) await must(["reset-failed", "--", name]);
    await must([how, "--", name], whyNot(name), 120_000);
  };
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
      await must(["enable", "--no-reload", "--quiet", "--", name]);
      if ((await states(name)).file !== "enabled") await reload();
    },
    restart: async (name) => {
      await startAnew(name, "restart");
    },
    start: async (name) => {
      await startAnew(name, "start");
    },
    disable: async (name) => {
      if ((await states(name)).load === "not-found") return;
      await must(["disable", "--no-reload", "--quiet", "--", name]);
      if ((await states(name)).file === "enabled") await reload();
    },
    load: async (name) => {
      const { load, stale } = await states(name);
      if (load !== "loaded" || stale) await reload();
    },
    reload,
    stop: async (name) => {
      if ((await states(name)).load === "not-found") return;
      await must(["stop", "--", name], whyNot(name), 120_000);
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

function whyNot(unit: string): string {
  return `on the host: journalctl -u ${unit} -n 30`;
}

/**
 * Asks systemd for something, to its end. Not as a unit of its own as other commands are: systemd does it, and goes on with it when
 * who asked is gone; and while it reads everything anew it may forget how such a unit ended (seen with systemd 252 on a busy host).
 * @throws StackctlError `command_failed`; `command_timeout`
 */
async function must(args: readonly string[], remedy?: string, timeoutMs = 60_000): Promise<void> {
  const { code, stdout, stderr } = await query("systemctl", args, timeoutMs);
  mustSucceed({ argv: ["systemctl", ...args], code, output: stdout + stderr }, remedy);
}
