import { spawn } from "node:child_process";
import { existsSync, openSync } from "node:fs";
import { connect } from "node:net";
import { basename, join } from "node:path";
import { processesOf } from "./cgroup.ts";
import { markOf, output, processesWith, signal, within, type ProcessMark } from "./command.ts";
import { setPower } from "./keeper.ts";
import { containerMarks, hostOf, initPid, networkNames, runOn, type Lab } from "./lab.ts";
import { flushAddresses, setLinks } from "./network.ts";

/** True when these are the arguments of the keeper of a lab, of whichever checkout. */
export function isKeeper(argv: readonly string[], lab: string): boolean {
  return basename(argv[0] ?? "") === "node" && basename(argv[1] ?? "") === "keeper.ts" && argv[2] === lab;
}

/** The lab's keeper; none when it does not run. */
export function keeperMarks(lab: Pick<Lab, "name">): ProcessMark[] {
  return processesWith((argv) => isKeeper(argv, lab.name));
}

/** Starts the lab's keeper unless it runs. It outlives this process. */
export function startKeeper(lab: Lab): void {
  if (keeperMarks(lab).length > 0) return;
  const log = openSync(join(lab.directory, "keeper.log"), "a");
  spawn(process.execPath, [join(import.meta.dirname, "keeper.ts"), lab.name], {
    detached: true,
    stdio: ["ignore", log, log],
  }).unref();
}

/** Switches a host on and waits until its sshd answers. @throws Error after 60 s, with the end of its console */
export async function powerOn(lab: Lab, host: string): Promise<void> {
  hostOf(lab, host);
  setPower(lab, host, "on");
  startKeeper(lab);
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

/** Ends every process of a host at once, by SIGKILL. Repeatable. */
export async function killHost(lab: Lab, host: string): Promise<void> {
  const gone = await within(15_000, () => {
    const init = initPid(lab, host);
    // Who starts the container goes first, then its init, which takes everything in its PID namespace along.
    const inside = [...(init === null ? [] : [init]), ...processesOf(lab, host)].map(markOf);
    const marks = [...containerMarks(lab, host), ...inside.filter((mark) => mark !== null)];
    for (const mark of marks) signal(mark, "SIGKILL");
    return marks.length === 0;
  });
  if (!gone) throw new Error(`${host} does not end: processes ${processesOf(lab, host).join(", ")} stay`);
}

/** Reboots a host the ordinary way and waits until it is back with another boot id. */
export async function reboot(lab: Lab, host: string): Promise<void> {
  const bootId = async (): Promise<string> =>
    (await runOn(lab, host, ["cat", "/proc/sys/kernel/random/boot_id"])).stdout.trim();
  const before = await bootId();
  if (before === "")
    throw new Error(`${host} is off; switch it on: stackctl lab power-on ${host} --name ${lab.name}`);
  startKeeper(lab);
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
