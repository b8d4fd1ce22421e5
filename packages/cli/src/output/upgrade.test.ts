import type { UpgradeView } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import { renderUpgradeEnd, renderUpgradeHost } from "./upgrade.ts";

process.env["NO_COLOR"] = "1";
const host = (
  name: string,
  more: Partial<UpgradeView["hosts"][number]> = {},
): UpgradeView["hosts"][number] => ({
  host: name,
  canary: false,
  state: "changed",
  text: null,
  from: "0.1.0-00000000",
  running: "0.1.0-11111111",
  seconds: 12,
  ...more,
});
const view = (more: Partial<UpgradeView>): UpgradeView => ({
  id: 1,
  state: "done",
  release: "0.1.0-11111111",
  outcome: "changed",
  why: null,
  seconds: 30,
  hosts: [host("compute1", { canary: true }), host("controller1")],
  ...more,
});

describe("an upgrade", () => {
  it("says of each host what it went from and to", () => {
    expect(renderUpgradeHost(host("compute1", { canary: true }))).toBe(
      "compute1  done, first  0.1.0-00000000 -> 0.1.0-11111111  12 s",
    );
    expect(renderUpgradeHost(host("compute1", { state: "running", text: "sending node 40 %" }))).toBe(
      "compute1  upgrading  sending node 40 %",
    );
  });

  it("ends with the number of new agents, and with who is left out and why", () => {
    const hosts = [host("compute1"), host("compute2", { state: "skipped", text: "held by root" })];
    expect(renderUpgradeEnd(view({ hosts }))).toBe(
      "done in 30 s: 1 of 2 agents are new, all in 0.1.0-11111111.\ncompute2 is left out: held by root",
    );
    expect(
      renderUpgradeEnd(view({ outcome: "unchanged", hosts: [host("c1", { state: "unchanged" })] })),
    ).toBe("Every agent that is there runs 0.1.0-11111111; nothing was changed.");
  });

  it("that failed says why, and where to look", () => {
    const hosts = [host("compute1", { state: "failed", text: "it went back" })];
    const text = renderUpgradeEnd(
      view({ outcome: "failed", why: "it went back; no other host was touched", hosts }),
    );
    expect(text).toContain("upgrade FAILED after 30 s: it went back; no other host was touched");
    expect(text).toContain("journalctl -u stackctl-agent, on compute1");
  });
});
