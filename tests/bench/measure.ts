import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { cpuSecondsOf } from "../lab/cgroup.ts";
import { runOn, type Lab } from "../lab/lab.ts";

/** What a tool is seen to do in the second after its command ended, such as reports, is counted as its own. */
const settleMs = 1000;

/** What one run cost. */
export interface Cost {
  readonly seconds: number;
  /** CPU of one host, the mean of all: everything that ran there, not only the tool's own processes. */
  readonly hostCpuSeconds: number;
}

/** The middle one; of an even number the upper. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** The median of each figure on its own. */
export function medianCost(costs: readonly Cost[]): Cost {
  return {
    seconds: median(costs.map(({ seconds }) => seconds)),
    hostCpuSeconds: median(costs.map(({ hostCpuSeconds }) => hostCpuSeconds)),
  };
}

/** Runs something that says how long it took, and what the lab's hosts spent meanwhile and just after. */
export async function costOf(lab: Lab, work: () => Promise<{ readonly seconds: number }>): Promise<Cost> {
  const before = cpuOf(lab);
  const { seconds } = await work();
  await pause(settleMs);
  return { seconds, hostCpuSeconds: (cpuOf(lab) - before) / lab.hosts.length };
}

/** What the hosts spend in as much time as {@link costOf} adds, on nothing in particular. */
export async function idleCost(lab: Lab): Promise<number> {
  const before = cpuOf(lab);
  await pause(settleMs);
  return (cpuOf(lab) - before) / lab.hosts.length;
}

function cpuOf(lab: Lab): number {
  return lab.hosts.reduce((sum, { name }) => sum + cpuSecondsOf(lab, name), 0);
}

/** Memory and CPU of a host's agent so far. */
export async function agentProcess(
  lab: Lab,
  host: string,
): Promise<{ residentMiB: number; proportionalMiB: number; cpuSeconds: number }> {
  const unit = await runOn(lab, host, ["systemctl", "show", "-p", "MainPID", "--value", "stackctl-agent"]);
  const pid = unit.stdout.trim();
  const files = ["smaps_rollup", "stat"].map((name) => `/proc/${pid}/${name}`);
  const { stdout } = await runOn(lab, host, ["cat", ...files]);
  const mib = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(stdout)?.[1] ?? "NaN") / 1024;
  const stat = stdout.slice(stdout.lastIndexOf(")") + 2).split(" ");
  return {
    residentMiB: mib("Rss"),
    proportionalMiB: mib("Pss"),
    cpuSeconds: (Number(stat[11]) + Number(stat[12])) / 100,
  };
}

/** Resident MiB of a process of this machine and of its children. */
export function residentMiB(pid: number): number {
  const children = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, "utf8").trim();
  const own = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${String(pid)}/status`, "utf8"))?.[1] ?? "NaN";
  const theirs = children === "" ? [] : children.split(" ").map((child) => residentMiB(Number(child)));
  return Number(own) / 1024 + theirs.reduce((sum, each) => sum + each, 0);
}
