import type { ApplyResult, RunEntry, RunView } from "@stackctl/protocol";
import { clip, clock, count, duration, oneLine, pad, paint, table, width } from "./text.ts";

type Step = RunView["steps"][number];

/** A run as it is now: a line for each step, then what each host does. Pure. */
export function renderRun(run: RunView, nowMs: number): string {
  const seconds = (nowMs - Date.parse(run.startedAt)) / 1000;
  const names = new Set(run.steps.flatMap(({ hosts }) => hosts.map(({ host }) => host)));
  const head = `run ${String(run.id)}  ${run.cloud}, ${count(names.size, "host")}`;
  const steps = run.steps.map((step) => [
    `  ${step.service}`,
    wordOf(step),
    tallyOf(step),
    clip(oneLine(noteOf(step)), 60),
  ]);
  const busy = run.steps.flatMap(({ hosts }) =>
    hosts.filter(({ state, doing }) => (state === "running" || state === "waiting") && doing !== undefined),
  );
  return [
    `${pad(head, 76)}  ${duration(Math.round(seconds))}`,
    ...table(steps),
    ...busy.map((step) => busyLine(step, nowMs)),
    paint("dim", `Ctrl-C leaves the run going; come back with: stackctl runs attach ${String(run.id)}`),
  ].join("\n");
}

/** What one host does or waits for, and for how long already when that is worth saying. */
function busyLine({ host, state, doing = "", since }: Step["hosts"][number], nowMs: number): string {
  const seconds = since === undefined ? 0 : Math.round((nowMs - Date.parse(since)) / 1000);
  const wait = seconds > 5 ? `  ${duration(seconds)}` : "";
  // What is waited for is shown whole: it says what to mend.
  const text =
    state === "waiting" ? paint("yellow", oneLine(doing)) : clip(oneLine(doing), width - 16 - wait.length);
  return `  ${host.padEnd(14)}${text}${wait}`;
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
  for (const { name, services } of result.hosts) {
    const held = services.filter(({ why }) => why?.startsWith("held") === true);
    const [first] = held;
    if (first !== undefined) {
      const which = services.length === held.length ? "" : ` ${held.map((each) => each.name).join(", ")}`;
      lines.push(`${name}${which} skipped: ${first.why ?? ""}; completed by itself then.`);
    }
  }
  for (const { name, services } of result.hosts) {
    for (const { id, outcome, why } of services.flatMap(({ resources }) => resources))
      if (outcome === "kept") lines.push(`${paint("yellow", `${name}  ${id}`)} ${why ?? "kept"}`);
  }
  if (run.cause.kind === "removal") return [...lines, ...removalEnd(result)].join("\n");
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

/** How a removal ended, and what to do next. */
function removalEnd({ hosts }: ApplyResult): string[] {
  return hosts.flatMap(({ name, services }) => {
    const forgotten = services.find((service) => service.name === "forget");
    if (forgotten?.outcome !== "changed")
      return [`${name} is not removed. Try again with: stackctl host remove ${name}`];
    return [
      forgotten.why ?? `${name} is removed.`,
      "Next, so that the others forget its name: stackctl apply aio",
    ];
  });
}

/** One line of a run's log, for a pipe. Pure. */
export function renderEntry({ at, host, service, type, text }: RunEntry): string {
  return [clock(at), host ?? "-", service ?? "-", type, oneLine(text)].join(" ");
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
    .join("; ");
}
