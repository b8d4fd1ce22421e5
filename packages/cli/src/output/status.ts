import type { StatusResult } from "@stackctl/protocol";
import { holdLine } from "./hold.ts";
import { clip, clock, duration, moment, oneLine, pad, paint, table, width } from "./text.ts";

/** The cloud at a glance: the verdict, the exceptions with what to type, then every host. Pure. */
export function renderStatus(status: StatusResult, nowMs: number): string {
  const { outcome, problems, hosts, run } = status;
  const verdict = {
    green: paint("green", "green"),
    degraded: paint("yellow", "DEGRADED"),
    down: paint("red", "DOWN"),
  }[outcome];
  const first = problems[0];
  const more = problems.length > 1 ? ` (and ${String(problems.length - 1)} more)` : "";
  const exception = first === undefined ? "" : `  ${clip(oneLine(first.text), 60)}${more}`;
  const head = `${status.cloud}: ${verdict}${exception}`;
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
      ...(host.since !== null && ["silent", "absent", "rebooting"].includes(host.state)
        ? [
            `since ${moment(host.since, nowMs)} (${duration(Math.round((nowMs - Date.parse(host.since)) / 1000))})`,
          ]
        : []),
    ];
    return [
      host.name,
      host.role,
      host.state === "ok" ? state : paint(host.state === "rebooting" ? "yellow" : "red", state),
      `${String(good)}/${String(all)}`,
      host.state !== "ok" ? "?" : host.drift.length === 0 ? "-" : clip(host.drift.join(" "), 30),
      booted,
      clip(oneLine(notes.join(", ")), 40),
    ];
  });
  const kept = hosts.flatMap(({ name, kept: lines }) =>
    lines.map((line) => `${name} keeps ${oneLine(line)}; it left the cloud and is yours to remove`),
  );
  const remedies = problems.map(({ text, remedy }) => `${oneLine(text)}: ${remedy}`);
  const clusters = Object.entries(status.clusters).map(
    ([name, { ok, text }]) => `${pad(name, 10)} ${ok ? oneLine(text) : paint("yellow", oneLine(text))}`,
  );
  const keys = Object.entries(status.keys).map(([name, { generation, equal, all }]) => {
    const text = `${name} generation ${String(generation)}, equal on ${String(equal)}/${String(all)}`;
    return equal === all ? text : paint("yellow", text);
  });
  if (keys.length > 0) clusters.push(`${pad("keys", 10)} ${keys.join("; ")}`);
  const last =
    run === null
      ? []
      : [
          `run ${String(run.id)} ${run.state === "running" ? `is under way: stackctl runs attach ${String(run.id)}` : `${run.outcome ?? "done"} at ${moment(run.at, nowMs)}`}`,
        ];
  return [
    `${pad(head, width - 10)}  ${clock(nowMs)}`,
    "",
    ...table([["host", "role", "agent", "docs", "drift", "since boot", ""], ...rows]),
    ...(clusters.length > 0 ? ["", ...clusters] : []),
    ...(status.holds.length > 0 ? ["", ...status.holds.map((hold) => holdLine(hold, nowMs))] : []),
    ...(kept.length > 0 ? ["", ...kept] : []),
    ...(last.length > 0 ? ["", ...last] : []),
    ...(remedies.length > 0 ? ["", ...remedies] : []),
  ].join("\n");
}
