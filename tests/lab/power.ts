import { spawn } from "node:child_process";
import { existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { processesOf } from "./cgroup.ts";
import { lives, markOf, output, within, type ProcessMark } from "./command.ts";
import { setPower } from "./keeper.ts";
import { hostOf, initPid, networkNames, runOn, type Lab } from "./lab.ts";
import { flushAddresses, setLinks } from "./network.ts";

/** The lab's keeper; null when none runs. */
export function keeperMark(lab: Lab): ProcessMark | null {
  const file = join(lab.directory, "keeper.pid");
  if (!existsSync(file)) return null;
  const mark = JSON.parse(readFileSync(file, "utf8")) as ProcessMark;
  return lives(mark) ? mark : null;
}

/** Starts the lab's keeper unless it runs. */
export function startKeeper(lab: Lab): void {
  if (keeperMark(lab) !== null) return;
  const log = openSync(join(lab.directory, "keeper.log"), "a");
  const child = spawn(process.execPath, [join(import.meta.dirname, "keeper.ts"), lab.name], {
    detached: true,
    stdio: ["ignore", log, log],
  });
  child.unref();
  const mark = child.pid === undefined ? null : markOf(child.pid);
  if (mark === null)
    throw new Error(`the lab's keeper did not start; see ${join(lab.directory, "keeper.log")}`);
  writeFileSync(join(lab.directory, "keeper.pid"), JSON.stringify(mark));
}

/** Switches a host on and waits until its sshd answers. @throws Error after 60 s, with the end of its console */
export async function powerOn(lab: Lab, host: string): Promise<void> {
  hostOf(lab, host);
  setPower(lab, host, "on");
  await waitForSsh(lab, host, 60_000);
}

/**
 * Cuts a host's power: nothing inside learns of it, nothing is written any more, its addresses are gone.
 * What the host had in the kernel's page cache survives, unlike on a real one.
 */
export async function powerOff(lab: Lab, host: string): Promise<void> {
  hostOf(lab, host);
  setPower(lab, host, "off");
  await setLinks(lab, host, networkNames, false);
  await killHost(lab, host);
  await flushAddresses(lab, host);
}

/** Ends every process of a host at once. */
export async function killHost(lab: Lab, host: string): Promise<void> {
  const gone = await within(15_000, () => {
    const pids = processesOf(lab, host);
    const init = initPid(lab, host);
    for (const pid of init === null ? pids : [init, ...pids]) {
      const mark = markOf(pid);
      if (mark !== null && lives(mark)) process.kill(pid, "SIGKILL");
    }
    return pids.length === 0 && init === null;
  });
  if (!gone) throw new Error(`${host} does not end: processes ${processesOf(lab, host).join(", ")} stay`);
}

/** Reboots a host the ordinary way and waits until it is back with another boot id. */
export async function reboot(lab: Lab, host: string): Promise<void> {
  const bootId = async (): Promise<string> =>
    (await runOn(lab, host, ["cat", "/proc/sys/kernel/random/boot_id"])).stdout.trim();
  const before = await bootId();
  const { code, stderr } = await runOn(lab, host, ["systemctl", "reboot", "--no-block"]);
  if (code !== 0) throw new Error(`${host} does not reboot: ${stderr}`);
  const back = await within(90_000, async () => {
    const now = await bootId();
    return now !== "" && now !== before;
  });
  if (!back) throw new Error(`${host} did not come back within 90 s`);
  await waitForSsh(lab, host, 60_000);
}

/** Waits until a host's sshd greets. */
export async function waitForSsh(lab: Lab, host: string, ms: number): Promise<void> {
  const { management } = hostOf(lab, host);
  if (await within(ms, () => greets(management, lab.ssh.port))) return;
  const console_ = join(lab.directory, "hosts", host, "console.log");
  const tail = existsSync(console_) ? await output("tail", ["-n", "15", console_]) : "no console";
  throw new Error(
    `${host} has no sshd at ${management}:${String(lab.ssh.port)} after ${String(ms / 1000)} s:\n${tail}`,
  );
}

function greets(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1000 });
    const done = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("data", (bytes) => {
      done(bytes.toString().startsWith("SSH-"));
    });
    for (const event of ["error", "timeout", "close"] as const) {
      socket.once(event, () => {
        done(false);
      });
    }
  });
}
