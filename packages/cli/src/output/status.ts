import type { StatusResult } from "@stackctl/protocol";
import { clock, count, duration, paint, table } from "./text.ts";

/** The cloud at a glance: the verdict, the exceptions with what to type, then every host. Pure. */
export function renderStatus(status: StatusResult, nowMs: number): string {
  const { outcome, problems, hosts, run } = status;
  const verdict = {
    green: paint("green", "green"),
    degraded: paint("yellow", "DEGRADED"),
    down: paint("red", "DOWN"),
  }[outcome];
  const first = problems[0];
  const more =
    problems.length > 1 ? ` (and ${count(problems.length - 1, "more")})`.replace("mores", "more") : "";
  const head = `${status.cloud}: ${verdict}${first === undefined ? "" : `  ${short(first.text)}${more}`}`;
  const rows = hosts.map((host) => {
    const state = {
      ok: "ok",
      silent: "SILENT",
      absent: "OFF",
      rebooting: "reboots",
      new: "NEW",
      orphaned: "ORPHANED",
    }[host.state];
    const booted =
      host.bootedAt === null || host.state !== "ok"
        ? "-"
        : duration((nowMs - Date.parse(host.bootedAt)) / 1000);
    const { good, all } = host.documents;
    const notes = [
      ...(host.doing === null || host.state !== "ok" ? [] : [host.doing]),
      ...(host.state === "silent" || host.state === "absent" ? [`since ${clock(host.since ?? nowMs)}`] : []),
    ];
    return [
      host.name,
      host.role,
      state,
      `${String(good)}/${String(all)}`,
      host.state !== "ok" ? "?" : host.drift.length === 0 ? "-" : host.drift.join(" "),
      booted,
      notes.join(", "),
    ];
  });
  const remedies = problems.map(({ text, remedy }) => `${text}: ${remedy}`);
  const last =
    run === null
      ? []
      : [
          `run ${String(run.id)} ${run.state === "running" ? `is under way: stackctl runs attach ${String(run.id)}` : `${run.outcome ?? "done"} at ${clock(run.at)}`}`,
        ];
  return [
    `${head}${" ".repeat(Math.max(2, 80 - head.length))}${clock(nowMs)}`,
    "",
    ...table([["host", "role", "agent", "docs", "drift", "since boot", ""], ...rows]),
    ...(last.length > 0 ? ["", ...last] : []),
    ...(remedies.length > 0 ? ["", ...remedies] : []),
  ].join("\n");
}

/** The head says in one line what is wrong; all of it is below. */
function short(text: string): string {
  return text.length > 70 ? `${text.slice(0, 67)}...` : text;
}
