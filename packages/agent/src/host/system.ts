import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { dirname, join } from "node:path";
import { agentUnit, goBackUnits, hostPaths, StackctlError } from "@stackctl/protocol";
import { change, commandFailed, mustSucceed } from "./command.ts";
import { fileFailed, readOrNull } from "./files.ts";
import type { System } from "./host.ts";
import { query } from "./query.ts";

/** Long enough for guests and databases to be shut down in order. */
const rebootMinutes = 15;

const leaveUnit = "stackctl-leave.service";
/** The state goes last but one: a power cut before leaves an agent that starts, knows that it has to go, and begins again. */
const leaveScript = [
  'systemctl stop "$1"',
  'find "$4" -mindepth 1 -maxdepth 1 ! -name identity.json ! -name leaving -exec rm -rf -- {} +',
  'systemctl disable --quiet "$1"',
  'systemctl stop "$5" 2>/dev/null || true',
  'rm -f -- "$6" "$7" "$8"',
  'rm -rf -- "$2" "$3" "$4"',
  "systemctl daemon-reload",
  'systemctl reset-failed "$1" 2>/dev/null || true',
].join("\n");

const unitFolder = dirname(hostPaths.unit);

/** The rest of the machine. */
export function linuxSystem(): System {
  return {
    bootId: () => (readOrNull("/proc/sys/kernel/random/boot_id") ?? "").trim(),
    hostname,
    uptimeSeconds: uptime,
    answers: async (address, port, seconds) => {
      const until = performance.now() + seconds * 1000;
      for (;;) {
        if (await takes(address, port)) return true;
        if (performance.now() > until) return false;
        await delay(200);
      }
    },
    // hostnamectl would need dbus and polkit, which a small Debian lacks.
    setHostname: async (name) => {
      mustSucceed(await change("hostname", ["hostname", "--", name], 10_000));
    },
    kernelParameter: (name) => readOrNull(parameterFile(name))?.trim().replaceAll(/\s+/g, " ") ?? null,
    setKernelParameter: (name, value) => {
      try {
        // Never made: what the kernel does not have is an error, not a file.
        writeFileSync(parameterFile(name), value, { flag: "r+" });
      } catch (error) {
        throw fileFailed(`write ${value} to`, parameterFile(name), error);
      }
    },
    leave: async () => {
      // No folder of the agent's is left to log into, and nobody to wait for it.
      const argv = ["systemd-run", "--no-ask-password", "--collect", `--unit=${leaveUnit}`];
      const order = [
        "/bin/sh",
        "-c",
        leaveScript,
        "leave",
        agentUnit,
        hostPaths.unit,
        hostPaths.root,
        hostPaths.state,
        // What an upgrade's way back left.
        goBackUnits.timer,
        ...["timers.target.wants", "."].map((folder) => join(unitFolder, folder, goBackUnits.timer)),
        join(unitFolder, goBackUnits.service),
      ];
      const { code, stdout, stderr } = await query(
        "systemd-run",
        [...argv.slice(1), "--", ...order.map((word) => word.replaceAll("$", "$$$$"))],
        30_000,
      );
      // One that runs already does just this.
      if (code !== 0 && !/was already loaded/.test(stderr))
        throw commandFailed({ argv, code, output: stdout + stderr });
    },
    reboot: async () => {
      // No transient unit: it would be stopped while it is waited for, and to ask systemd is one step anyway.
      const argv = ["systemctl", "reboot", "--no-block"];
      const { code, stdout, stderr } = await query("systemctl", argv.slice(1), 30_000);
      if (code !== 0 && !(await isStopping())) throw commandFailed({ argv, code, output: stdout + stderr });
      await delay(rebootMinutes * 60_000, undefined, { ref: false });
      throw new StackctlError(
        "command_timeout",
        `still up ${String(rebootMinutes)} minutes after systemd was asked to reboot`,
        { retryable: true, details: { remedy: "on the host: systemctl list-jobs" } },
      );
    },
  };
}

/** sysctl(8): dots part, and a slash stands for a dot within a part. */
function parameterFile(name: string): string {
  return `/proc/sys/${name.replaceAll(/[./]/g, (mark) => (mark === "." ? "/" : "."))}`;
}

function takes(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: 2000 });
    const end = (taken: boolean) => (): void => {
      socket.destroy();
      resolve(taken);
    };
    socket.once("connect", end(true)).once("error", end(false)).once("timeout", end(false));
  });
}

/** True once systemd has begun to shut the host down. */
async function isStopping(): Promise<boolean> {
  return (await query("systemctl", ["is-system-running"])).stdout.trim() === "stopping";
}

/** Seconds since PID 1 began: in a container that is younger than the machine's kernel (proc(5), field 22 of stat). */
function uptime(): number {
  const stat = readOrNull("/proc/1/stat") ?? "";
  const ticks = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "0");
  const seconds = Number((readOrNull("/proc/uptime") ?? "0").split(" ")[0]);
  return Math.max(0, Math.round(seconds - ticks / 100));
}
