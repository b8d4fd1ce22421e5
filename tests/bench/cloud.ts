import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Lab } from "../lab/lab.ts";
import { succeed, type Stack } from "../stack.ts";
import type { Figure } from "./figures.ts";
import { agentProcess, median, residentMiB } from "./measure.ts";

const idleSeconds = 65;

/** The figures of the whole cloud, which is applied first. */
export async function wholeCloud(lab: Lab, stack: Stack, say: (text: string) => void): Promise<Figure[]> {
  say("the whole cloud, first apply");
  await succeed(stack.run(["apply", "aio"], { timeoutMs: 3_600_000 }));
  say("the whole cloud, again");
  const figures: Figure[] = [
    {
      name: "whole cloud: second apply aio",
      value: await secondsOf(stack, ["apply", "aio"], 5),
      unit: "s",
      reach: { atMost: 3 },
    },
    {
      name: "whole cloud: status",
      value: await secondsOf(stack, ["status"], 7),
      unit: "s",
      reach: { atMost: 0.3 },
    },
    {
      name: "whole cloud: plan without change",
      value: await secondsOf(stack, ["plan"], 5),
      unit: "s",
      reach: { atMost: 3 },
    },
  ];
  say(`agents at rest for ${String(idleSeconds)} s`);
  const look = (): ReturnType<typeof agentProcesses> => agentProcesses(lab);
  const before = await look();
  await pause(idleSeconds * 1000);
  const after = await look();
  const idle = after.map(
    (each, index) => ((each.cpuSeconds - (before[index]?.cpuSeconds ?? 0)) / idleSeconds) * 100,
  );
  const { pid } = JSON.parse(readFileSync(join(stack.home, "server.json"), "utf8")) as { pid: number };
  return [
    ...figures,
    {
      name: "whole cloud: agent resident, largest",
      value: Math.max(...after.map((each) => each.residentMiB)),
      unit: "MiB",
      reach: { atMost: 85 },
    },
    {
      name: "whole cloud: agent idle, median",
      value: median(idle),
      unit: "% of a core",
      reach: { atMost: 0.5 },
    },
    {
      name: "whole cloud: server with nats-server, resident",
      value: residentMiB(pid),
      unit: "MiB",
      reach: { atMost: 200 },
    },
  ];
}

function agentProcesses(lab: Lab): Promise<Awaited<ReturnType<typeof agentProcess>>[]> {
  return Promise.all(lab.hosts.map(({ name }) => agentProcess(lab, name)));
}

async function secondsOf(stack: Stack, args: readonly string[], rounds: number): Promise<number> {
  const seconds: number[] = [];
  for (let round = 0; round < rounds; round++) seconds.push((await succeed(stack.run(args))).seconds);
  return median(seconds);
}
