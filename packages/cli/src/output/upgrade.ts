import type { UpgradeView } from "@stackctl/protocol";
import { duration, oneLine, paint, table } from "./text.ts";

type UpgradeHost = UpgradeView["hosts"][number];

/** An upgrade of agents as it is now, a row for each host. Pure. */
export function renderUpgrade({ release, hosts, seconds }: UpgradeView): string {
  return [
    `agents to ${release}  ${duration(Math.round(seconds))}`,
    ...table(hosts.map((host) => [`  ${host.host}`, stateText(host), detail(host)])),
  ].join("\n");
}

/** One line for a host in a pipe. Pure. */
export function renderUpgradeHost(host: UpgradeHost): string {
  return `${host.host}  ${[stateText(host), detail(host)].filter((part) => part !== "").join("  ")}`;
}

/** The end of an upgrade: the verdict, what was left out, and what to type. Pure. */
export function renderUpgradeEnd({ outcome, release, hosts, seconds, why }: UpgradeView): string {
  const of = (state: UpgradeHost["state"]): UpgradeHost[] => hosts.filter((host) => host.state === state);
  const left = of("skipped").map((host) => `${host.host} is left out: ${oneLine(host.text ?? "")}`);
  const changed = of("changed").length;
  switch (outcome) {
    case null:
      return renderUpgrade({ outcome, release, hosts, seconds, why, id: null, state: "running" });
    case "unchanged":
      return [`Every agent that is there runs ${release}; nothing was changed.`, ...left].join("\n");
    case "changed":
      return [
        `done in ${duration(seconds)}: ${String(changed)} of ${String(hosts.length)} agents are new, all in ${release}.`,
        ...left,
      ].join("\n");
    case "failed": {
      const host = of("failed")[0]?.host ?? "HOST";
      return [
        `${paint("red", "upgrade FAILED")} after ${duration(seconds)}: ${oneLine(why ?? "")}`,
        `What it said: journalctl -u stackctl-agent, on ${host}. What runs where: stackctl agent list`,
      ].join("\n");
    }
  }
}

function stateText({ state, canary }: UpgradeHost): string {
  const text = {
    pending: "waits",
    running: "upgrading",
    unchanged: "unchanged",
    changed: "done",
    skipped: "left out",
    failed: "FAILED",
  }[state];
  return `${state === "failed" ? paint("red", text) : text}${canary ? ", first" : ""}`;
}

function detail({ state, text, from, running, seconds }: UpgradeHost): string {
  if (text !== null) return oneLine(text);
  if (state !== "changed") return "";
  return `${from ?? "?"} -> ${running ?? "?"}${seconds === null ? "" : `  ${duration(seconds)}`}`;
}
