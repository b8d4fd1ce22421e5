import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { readLab, runOn, type Lab } from "./lab/lab.ts";
import { root, stackIn, succeed, type Stack } from "./stack.ts";

/**
 * `npm run bench`: the figures that we hold ourselves to, measured on the demo's lab as it is. Ends 1 when one is missed.
 */
const lab = readLab("demo");
const stack = stackIn(root);

interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** At most this. */
  readonly reach: number;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

async function secondsOf(work: Stack, args: readonly string[], rounds: number): Promise<number> {
  const seconds: number[] = [];
  for (let round = 0; round < rounds; round++) seconds.push((await succeed(work.run(args))).seconds);
  return median(seconds);
}

/** Resident MiB of a process of this machine. */
function residentMiB(pid: number): number {
  return (
    Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${String(pid)}/status`, "utf8"))?.[1] ?? "0") / 1024
  );
}

async function agentProcess(on: Lab, host: string): Promise<{ residentMiB: number; cpuSeconds: number }> {
  const unit = await runOn(on, host, ["systemctl", "show", "-p", "MainPID", "--value", "stackctl-agent"]);
  const pid = unit.stdout.trim();
  const { stdout } = await runOn(on, host, ["cat", `/proc/${pid}/status`, `/proc/${pid}/stat`]);
  const stat = stdout.slice(stdout.lastIndexOf(")") + 2).split(" ");
  return {
    residentMiB: Number(/^VmRSS:\s+(\d+)/m.exec(stdout)?.[1] ?? "0") / 1024,
    cpuSeconds: (Number(stat[11]) + Number(stat[12])) / 100,
  };
}

/** Seconds from an edit by hand to its event. */
async function driftSeconds(host: string): Promise<number> {
  const last = JSON.parse((await succeed(stack.run(["events", "--json", "--limit", "1"]))).stdout) as {
    n: number;
  };
  const begun = Date.now();
  await runOn(lab, host, ["sh", "-c", "echo '192.0.2.9 bench' >> /etc/hosts"]);
  for (;;) {
    const lines = (await succeed(stack.run(["events", "--json", "--limit", "20"]))).stdout.trim().split("\n");
    const seen = lines
      .map((line) => JSON.parse(line) as { n: number; at: string; type: string; host: string | null })
      .find((event) => event.n > last.n && event.type === "resource.drifted" && event.host === host);
    if (seen !== undefined) return (Date.parse(seen.at) - begun) / 1000;
    if (Date.now() - begun > 20_000) throw new Error(`no drift of ${host} was seen within 20 s`);
    await pause(100);
  }
}

await succeed(stack.run(["apply", "aio"]));
const figures: Figure[] = [
  { name: "second apply aio", value: await secondsOf(stack, ["apply", "aio"], 5), unit: "s", reach: 3 },
  { name: "status", value: await secondsOf(stack, ["status"], 7), unit: "s", reach: 0.3 },
  { name: "plan without change", value: await secondsOf(stack, ["plan"], 5), unit: "s", reach: 3 },
];
const drifts: number[] = [];
for (const host of ["compute1", "compute2", "controller3"]) drifts.push(await driftSeconds(host));
figures.push({ name: "drift seen", value: median(drifts), unit: "s", reach: 2 });

const hosts = lab.hosts.map(({ name }) => name);
const before = await Promise.all(hosts.map((host) => agentProcess(lab, host)));
const idleSeconds = 65;
await pause(idleSeconds * 1000);
const after = await Promise.all(hosts.map((host) => agentProcess(lab, host)));
figures.push({
  name: "agent resident, largest",
  value: Math.max(...after.map((each) => each.residentMiB)),
  unit: "MiB",
  reach: 85,
});
const idle = after.map(
  (each, index) => ((each.cpuSeconds - (before[index]?.cpuSeconds ?? 0)) / idleSeconds) * 100,
);
figures.push({ name: "agent idle, median", value: median(idle), unit: "% of a core", reach: 0.5 });
const { pid } = JSON.parse(readFileSync(join(stack.home, "server.json"), "utf8")) as { pid: number };
const children = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, "utf8")
  .trim()
  .split(" ")
  .map(Number);
figures.push({
  name: "server with nats-server, resident",
  value: [pid, ...children].reduce((sum, each) => sum + residentMiB(each), 0),
  unit: "MiB",
  reach: 200,
});

for (const { name, value, unit, reach } of figures) {
  const verdict = value <= reach ? "ok" : "MISSED";
  console.log(
    `${name.padEnd(36)} ${value.toFixed(2).padStart(8)} ${unit.padEnd(12)} at most ${String(reach).padEnd(5)} ${verdict}`,
  );
}
process.exit(figures.every(({ value, reach }) => value <= reach) ? 0 : 1);
