import type { ApplyResult, RunEntry, RunView } from "@stackctl/protocol";
import { clock, count, duration, paint, table } from "./text.ts";

type Step = RunView["steps"][number];

/** A run as it is now: a line for each step, then what each host does. Pure. */
export function renderRun(run: RunView, nowMs: number): string {
  const seconds = (nowMs - Date.parse(run.startedAt)) / 1000;
  const names = new Set(run.steps.flatMap(({ hosts }) => hosts.map(({ host }) => host)));
  const head = `run ${String(run.id)}  ${run.cloud}, ${count(names.size, "host")}`;
  const steps = run.steps.map((step) => [`  ${step.service}`, wordOf(step), tallyOf(step), noteOf(step)]);
  const busy = run.steps.flatMap(({ hosts }) =>
    hosts.filter(({ state, doing }) => (state === "running" || state === "waiting") && doing !== undefined),
  );
  return [
    `${head}${" ".repeat(Math.max(2, 60 - head.length))}${duration(seconds)}`,
    ...table(steps),
    ...busy.map(
      ({ host, state, doing, since }) =>
        `  ${host.padEnd(14)}${state === "waiting" ? paint("yellow", doing ?? "") : (doing ?? "")}${since !== undefined && nowMs - Date.parse(since) > 5000 ? `  ${duration((nowMs - Date.parse(since)) / 1000)}` : ""}`,
    ),
    paint("dim", `Ctrl-C leaves the run going; come back with: stackctl runs attach ${String(run.id)}`),
  ].join("\n");
}

/** The end of a run: one sentence, the time of each phase, what failed, what to do next. Pure. */
export function renderEnd(run: RunView, result: ApplyResult): string {
  const { changed, unchanged, skipped, failed } = result.totals;
  const absent = result.hosts.filter(({ why }) => why?.startsWith("absent") === true).map(({ name }) => name);
  const parts = [
    `${String(changed)} changed`,
    `${String(unchanged)} unchanged`,
    ...(skipped > 0 ? [`${String(skipped)} skipped`] : []),
    ...(failed > 0 ? [`${String(failed)} failed`] : []),
    ...(absent.length > 0 ? [`${absent.join(", ")} absent`] : []),
  ];
  const lines = [
    `run ${String(run.id)} ${failed > 0 ? paint("red", "FAILED") : "done"} in ${duration(result.seconds)}: ${parts.join(", ")}.`,
  ];
  const phases = run.steps.map(
    ({ service, hosts }) =>
      `${service} ${duration(Math.max(0, ...hosts.map(({ seconds }) => seconds ?? 0)))}`,
  );
  lines.push(`phases: ${phases.join(", ")}`);
  for (const { name, services } of result.hosts) {
    const bad = services.find(({ outcome }) => outcome === "failed");
    if (bad !== undefined)
      lines.push(`${paint("red", `${name}  ${bad.name} failed`)}: ${bad.why ?? "it does not say why"}`);
  }
  for (const name of absent) lines.push(`${name} is completed by itself when it returns.`);
  lines.push(
    failed > 0
      ? `Try again with: stackctl apply ${result.hosts
          .filter(({ outcome }) => outcome === "failed")
          .map(({ name }) => name)
          .join(" ")}`
      : "Next: stackctl status",
  );
  return lines.join("\n");
}

/** One line of a run's log, for a pipe. Pure. */
export function renderEntry({ at, host, service, type, text }: RunEntry): string {
  return [clock(at), host ?? "-", service ?? "-", type, text].join(" ");
}

function wordOf({ hosts }: Step): string {
  const states = new Set(hosts.map(({ state }) => state));
  if (states.has("failed")) return paint("red", "failed");
  if (states.has("running")) return "running";
  if (states.has("waiting")) return "waits";
  if (states.has("pending")) return "";
  return "done";
}

function tallyOf({ hosts }: Step): string {
  const done = hosts.filter(({ state }) => state === "changed" || state === "unchanged").length;
  return `${String(done)}/${String(hosts.length)}`;
}

function noteOf({ hosts }: Step): string {
  return hosts
    .filter(({ state }) => state === "failed" || state === "skipped")
    .map(({ host, state, doing }) => `${host} ${state}${doing === undefined ? "" : `: ${doing}`}`)
    .join("; ")
    .slice(0, 70);
}
