import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { runOn, type Lab } from "../lab/lab.ts";
import type { Stack } from "../stack.ts";
import { applied, green, on, status, until } from "./world.ts";

/** What of the product may be on a host: each finds something on one that is set up, and nothing on one that was let go. */
const traces: Readonly<Record<string, readonly string[]>> = {
  folders: [
    "sh",
    "-c",
    "ls -d /opt/stackctl /var/lib/stackctl-agent /etc/stackctl /var/lib/stackctl /etc/docker 2>/dev/null || true",
  ],
  units: ["sh", "-c", "ls /etc/systemd/system /run/systemd/transient 2>/dev/null | grep stackctl || true"],
  running: [
    "sh",
    "-c",
    "systemctl list-units --all --plain --no-legend 'stackctl*' | grep -v not-found || true",
  ],
  processes: ["sh", "-c", "pgrep -af 'stackctl|dockerd|containerd|chronyd' | grep -v pgrep || true"],
  packages: [
    "sh",
    "-c",
    // dpkg goes on naming what was purged, as not installed.
    "dpkg-query -W -f '${db:Status-Status} ${Package}\\n' docker.io containerd runc chrony 2>/dev/null | grep '^installed' || true",
  ],
  apt: [
    "sh",
    "-c",
    "ls /etc/apt/apt.conf.d /etc/apt/auth.conf.d /etc/apt/sources.list.d | grep stackctl || true",
  ],
  texts: ["sh", "-c", "grep -rl 'Managed by stackctl' /etc 2>/dev/null || true"],
};

async function tracesOf(lab: Lab, host: string): Promise<Record<string, string>> {
  const pairs = Object.entries(traces).map(
    async ([name, argv]) => [name, (await on(lab, host, ...argv)).trim()] as const,
  );
  return Object.fromEntries(await Promise.all(pairs));
}

/**
 * Claims about a compute that leaves the cloud and comes back; needs a green cloud, and leaves a green one.
 * @param host a compute of that cloud
 */
export function removalClaims(world: () => { lab: Lab; stack: Stack }, host = "compute2"): void {
  describe("a compute that leaves the file", () => {
    let before = "";
    const nothing = Object.fromEntries(Object.keys(traces).map((name) => [name, ""]));

    it("is not removed while it is in the file, nor without its name", async () => {
      const { lab, stack } = world();
      const kept = await stack.run(["host", "remove", host, "--yes", host]);
      expect(kept.code).toBe(1);
      expect(kept.stderr).toContain(`take ${host} out of cloud.yaml`);
      expect((await stack.run(["host", "remove", host])).code).toBe(2);
      expect((await stack.run(["host", "remove", host, "--yes", "compute1"])).code).toBe(2);
      // What is to be gone later is found now.
      const found = await tracesOf(lab, host);
      for (const name of ["folders", "units", "running", "processes", "packages", "texts"])
        expect(found[name], name).not.toBe("");
    });

    it("is orphaned, left as it is, and status says how to remove it", async () => {
      const { lab, stack } = world();
      before = readFileSync(stack.cloudFile, "utf8");
      writeFileSync(stack.cloudFile, before.replace(new RegExp(`^  ${host}:.*\n`, "m"), ""));
      const now = await status(stack);
      expect(now.hosts.find(({ name }) => name === host)?.state).toBe("orphaned");
      expect(now.problems.find((problem) => problem.host === host)?.remedy).toContain(
        `stackctl host remove ${host}`,
      );
      expect(await on(lab, host, "systemctl", "is-active", "stackctl-agent")).toContain("active");
    });

    it("is removed by its name: nothing of ours is on it any more, and it is forgotten", async () => {
      const { lab, stack } = world();
      const ended = await stack.run(["host", "remove", host, "--yes", host, "--json"]);
      const result = applied(ended);
      expect(result, ended.stderr).toMatchObject({ outcome: "changed", totals: { failed: 0, skipped: 0 } });
      console.log(`host removed in ${ended.seconds.toFixed(1)} s: ${JSON.stringify(result.totals)}`);
      await until("the agent is gone", 30, async () =>
        (await runOn(lab, host, ["test", "-e", "/var/lib/stackctl-agent"])).code === 0 ? null : true,
      );
      expect(
        await until("nothing is left", 30, async () => {
          const found = await tracesOf(lab, host);
          return JSON.stringify(found) === JSON.stringify(nothing) ? found : null;
        }),
      ).toEqual(nothing);
      expect((await status(stack)).hosts.map(({ name }) => name)).not.toContain(host);
      // A script that was killed may say it again.
      expect((await stack.run(["host", "remove", host, "--yes", host])).code).toBe(0);
      applied(await stack.run(["apply", "aio", "--json"]));
      expect(await on(lab, "compute1", "cat", "/etc/hosts")).not.toContain(`${host}.`);
      await green(stack, 30);
    });

    it("comes back as a new one when it is put back", async () => {
      const { lab, stack } = world();
      writeFileSync(stack.cloudFile, before);
      const result = applied(await stack.run(["apply", "aio", "--json"]));
      expect(result).toMatchObject({ outcome: "changed", totals: { failed: 0, skipped: 0 } });
      await green(stack, 30);
      const identity = await on(lab, host, "cat", "/var/lib/stackctl-agent/identity.json");
      expect((JSON.parse(identity) as { incarnation: number }).incarnation).toBeGreaterThan(1);
    });
  });
}
