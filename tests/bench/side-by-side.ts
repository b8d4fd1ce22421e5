import { existsSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { applyResult, type ApplyResult, type EventView } from "@stackctl/protocol";
import { output } from "../lab/command.ts";
import { runOn, type Lab } from "../lab/lab.ts";
import { withPackages } from "../lab/packages.ts";
import { succeed, type Stack } from "../stack.ts";
import { ansibleIn, ansibleVersion, installAnsible, type AnsibleRun, type AnsibleWay } from "./ansible.ts";
import { number, table, type Figure } from "./figures.ts";
import { agentProcess, costOf, idleCost, median, medianCost, type Cost } from "./measure.ts";
import { wantedFile } from "./services.ts";
import { kernelParameters, removal, sampleFile, traces, work } from "./work.ts";

type Tool = "stackctl" | AnsibleWay;

/** What a tool cost. */
interface Measured {
  readonly first: Cost;
  /** Each round that changed nothing. */
  readonly again: Cost[];
}

/**
 * The same 40 resources on the same hosts by the product and by Ansible, in turns, so that what else the machine does hits
 * all of them alike. The first runs begin on hosts without any of it; what each tool left is then taken for true by the
 * others, which is the proof that they did the same work.
 * @param rounds how often each runs without change
 * @returns the figures; what was measured is printed
 */
export async function sideBySide(
  lab: Lab,
  stack: Stack,
  folder: string,
  rounds: number,
  say: (text: string) => void,
): Promise<Figure[]> {
  await installAnsible(say);
  const hosts = lab.hosts.map(({ name }) => name);
  say("python on the hosts, for Ansible");
  await Promise.all(hosts.map((host) => installPython(lab, host)));
  const play = ansibleIn(folder, lab);
  const former = await parametersOf(lab, hosts[0] ?? "");
  const { apply, want } = product(stack, hosts);
  const told = async (cost: Promise<Cost>, what = "that"): Promise<Cost> => {
    const { seconds, hostCpuSeconds } = await cost;
    say(`${what}: ${number(seconds)} s, ${number(hostCpuSeconds)} CPU s per host`);
    return { seconds, hostCpuSeconds };
  };
  const clean = async (): Promise<void> => {
    await Promise.all(hosts.map((host) => onHost(lab, host, removal(former))));
    await assertBare(lab, hosts);
  };

  say("enrolment");
  want(false);
  await apply();
  await assertBare(lab, hosts);
  want(true);
  say("first run of stackctl");
  const measured: Record<Tool, Measured> = {
    stackctl: { first: await told(costOf(lab, changing(apply))), again: [] },
    mitogen: { first: { seconds: 0, hostCpuSeconds: 0 }, again: [] },
    pipelining: { first: { seconds: 0, hostCpuSeconds: 0 }, again: [] },
  };
  const memory = await Promise.all(hosts.map((host) => agentProcess(lab, host)));
  want(false);
  await apply();
  // The product leaves nothing behind; of Ansible the bench has to take it away.
  await assertBare(lab, hosts);
  for (const way of ["mitogen", "pipelining"] as const) {
    say(`first run of Ansible, ${way}`);
    if (way === "pipelining") await clean();
    measured[way] = {
      ...measured[way],
      first: await costOf(
        lab,
        changing(() => play(way)),
      ),
    };
  }
  want(true);
  await apply();
  for (let round = 0; round < rounds; round++) {
    say(`round ${String(round + 1)} without change`);
    for (const tool of ["stackctl", "mitogen", "pipelining"] as const) {
      // Without mitogen Ansible takes a minute each time, and is steady.
      if (tool === "pipelining" && round % 2 === 1) continue;
      const run = tool === "stackctl" ? apply : (): Promise<AnsibleRun> => play(tool);
      measured[tool].again.push(await told(costOf(lab, unchanging(run)), tool));
    }
  }
  const idle = await idleCost(lab);

  say("restarts of the server");
  const restarts: number[] = [];
  for (let round = 0; round < 3; round++) {
    await succeed(stack.run(["server", "stop"]));
    restarts.push((await unchanging(apply)()).seconds);
  }
  say("changes by hand");
  const drifts: number[] = [];
  for (const host of hosts.slice(0, 3)) drifts.push(await driftSeconds(lab, stack, host));

  const { stackctl, mitogen, pipelining } = measured;
  const columns = [stackctl, mitogen, pipelining].map(({ first, again }) => ({
    first,
    again: medianCost(again),
  }));
  const row = (name: string, of: (each: (typeof columns)[number]) => number): string[] => {
    const [ours = Number.NaN, ...theirs] = columns.map(of);
    return [name, number(ours), ...theirs.map((value) => `${number(value)} (1/${number(value / ours)})`)];
  };
  console.log(
    `\n40 resources on ${String(hosts.length)} hosts; ${await ansibleVersion()}; median of ${String(rounds)} runs without change (pipelining: ${String(pipelining.again.length)})\n`,
  );
  console.log(
    table([
      ["", "stackctl", "Ansible + mitogen", "Ansible, pipelining"],
      row("first run, s", ({ first }) => first.seconds),
      row("run without change, s", ({ again }) => again.seconds),
      row("first run, CPU s per host", ({ first }) => first.hostCpuSeconds),
      row("run without change, CPU s per host", ({ again }) => again.hostCpuSeconds),
      ["idle for as long as a run is watched after its end, CPU s per host", number(idle), "", ""],
      [
        "agent's memory after an apply, largest, MiB: PSS",
        number(Math.max(...memory.map((each) => each.proportionalMiB))),
        "none",
        "none",
      ],
      ["the same, resident", number(Math.max(...memory.map((each) => each.residentMiB))), "none", "none"],
    ]),
  );

  const again = medianCost(stackctl.again).seconds;
  return [
    {
      name: "run without change, against Ansible + mitogen",
      value: medianCost(mitogen.again).seconds / again,
      unit: "times",
      reach: { atLeast: 50 },
    },
    {
      name: "run without change, against Ansible, pipelining",
      value: medianCost(pipelining.again).seconds / again,
      unit: "times",
      reach: { atLeast: 150 },
    },
    {
      name: "first run, against Ansible + mitogen",
      value: mitogen.first.seconds / stackctl.first.seconds,
      unit: "times",
      reach: { atLeast: 30 },
    },
    {
      name: "agent's memory after an apply (PSS), largest",
      value: Math.max(...memory.map((each) => each.proportionalMiB)),
      unit: "MiB",
      reach: { atMost: 85 },
    },
    {
      name: "all agents answer after a restart of the server",
      value: median(restarts),
      unit: "s",
      reach: { atMost: 3 },
    },
    { name: "a change by hand is shown as drift", value: median(drifts), unit: "s", reach: { atMost: 2 } },
  ];
}

/** The product, as an operator runs it. */
function product(
  stack: Stack,
  hosts: readonly string[],
): { apply: () => Promise<AnsibleRun>; want: (wanted: boolean) => void } {
  return {
    apply: async () => {
      const { stdout, seconds } = await succeed(stack.run(["apply", "aio", "--json"]));
      const result: ApplyResult = applyResult.parse(JSON.parse(stdout));
      const { changed, skipped, failed, unchanged } = result.totals;
      const wanted = existsSync(wantedFile(stack.home)) ? hosts.length * work.length : 0;
      // No job is lost: each resource of each host was answered for.
      if (skipped + failed > 0 || changed + unchanged < wanted)
        throw new Error(`an apply left something out: ${stdout}`);
      return { changed, seconds };
    },
    want: (wanted) => {
      if (wanted) writeFileSync(wantedFile(stack.home), "");
      else rmSync(wantedFile(stack.home), { force: true });
    },
  };
}

/** A run that must change everything, or it did not begin on bare hosts. */
function changing(run: () => Promise<AnsibleRun>): () => Promise<AnsibleRun> {
  return async () => {
    const result = await run();
    if (result.changed < work.length) throw new Error(`a first run changed only ${String(result.changed)}`);
    return result;
  };
}

function unchanging(run: () => Promise<AnsibleRun>): () => Promise<AnsibleRun> {
  return async () => {
    const result = await run();
    if (result.changed > 0) throw new Error(`a run without change changed ${String(result.changed)}`);
    return result;
  };
}

async function installPython(lab: Lab, host: string): Promise<void> {
  if ((await runOn(lab, host, ["python3", "--version"])).code === 0) return;
  await withPackages(lab, host, () =>
    onHost(
      lab,
      host,
      "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3",
    ),
  );
}

async function parametersOf(lab: Lab, host: string): Promise<Record<string, string>> {
  const { stdout } = await runOn(lab, host, ["sysctl", "-n", ...kernelParameters]);
  const values = stdout.trim().split("\n");
  return Object.fromEntries(kernelParameters.map((key, index) => [key, values[index] ?? ""]));
}

async function assertBare(lab: Lab, hosts: readonly string[]): Promise<void> {
  for (const host of hosts) {
    const left = await onHost(lab, host, traces);
    if (left !== "") throw new Error(`${host} still has: ${left}`);
  }
}

async function onHost(lab: Lab, host: string, script: string): Promise<string> {
  const { code, stdout, stderr } = await runOn(lab, host, ["sh", "-c", script], { timeoutMs: 600_000 });
  if (code !== 0) throw new Error(`${host}: ${script}\nexit ${String(code)}: ${stderr}`);
  return stdout;
}

/** Seconds from an edit by hand to its event. */
async function driftSeconds(lab: Lab, stack: Stack, host: string): Promise<number> {
  const events = async (limit: number): Promise<EventView[]> => {
    const { stdout } = await succeed(stack.run(["events", "--json", "--limit", String(limit)]));
    return stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as EventView);
  };
  const last = (await events(1))[0]?.n ?? 0;
  const begun = Date.now();
  await onHost(lab, host, `echo '# by hand' >> ${sampleFile}`);
  for (;;) {
    const seen = (await events(20)).find(
      (event) => event.n > last && event.type === "resource.drifted" && event.host === host,
    );
    if (seen !== undefined) return (Date.parse(seen.at) - begun) / 1000;
    if (Date.now() - begun > 20_000) throw new Error(`no drift of ${host} was seen within 20 s`);
    await pause(100);
  }
}

/** The machine in a few words, for whoever compares. */
export async function machine(): Promise<string> {
  const cores = (await output("nproc", [])).trim();
  const memory = /^MemTotal:\s+(\d+)/m.exec(await output("cat", ["/proc/meminfo"]))?.[1] ?? "0";
  const load = (await output("cat", ["/proc/loadavg"])).split(" ")[0] ?? "";
  return `${cores} cores, ${String(Math.round(Number(memory) / 1048576))} GiB, everything on one machine; load ${load} at the start`;
}
