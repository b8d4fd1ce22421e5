import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostPaths } from "@stackctl/protocol";
import { change } from "@stackctl/agent/host/command.ts";
import { query } from "@stackctl/agent/host/query.ts";
import type { Host } from "@stackctl/agent/host/host.ts";
import type { HostClaim } from "./host-suite.ts";

/** What the agent relies on in systemd, dpkg and apt beyond the host port; only a real host can show it. */
export const commandClaims: readonly HostClaim[] = [
  {
    about: "commands",
    claim: "arguments arrive as they are, with a fixed environment",
    check: async (): Promise<void> => {
      const odd = ["$HOME", "$$", "${PATH}", "two words", "", "%n", "\\x41", "ü", "-x"];
      const printed = await change("contract", ["printf", "<%s>", ...odd], 10_000);
      assert.equal(printed.output, odd.map((word) => `<${word}>`).join(""));
      const { output } = await change("contract", ["env"], 10_000);
      assert.match(output, /^LC_ALL=C\.UTF-8$/m);
      assert.match(output, /^DEBIAN_FRONTEND=noninteractive$/m);
      assert.doesNotMatch(output, /LD_LIBRARY_PATH/);
    },
  },
  {
    about: "commands",
    claim: "the exit code and both outputs come back, and only root can read them on the host",
    check: async (): Promise<void> => {
      const end = await change("contract", ["sh", "-c", "echo out; echo err >&2; exit 7"], 10_000);
      assert.deepEqual([end.code, end.output], [7, "out\nerr\n"]);
      const log = join(hostPaths.state, "commands", "contract.log");
      assert.equal(statSync(log).mode & 0o7777, 0o600);
    },
  },
  {
    about: "commands",
    claim: "a command that takes too long is ended, and one that systemd cannot start is named",
    check: async (): Promise<void> => {
      await assert.rejects(change("contract", ["sleep", "100"], 1000), { code: "command_timeout" });
      await assert.rejects(change("contract", ["stackctl-nosuch"], 1000), {
        code: "command_failed",
        message: /stackctl-nosuch/,
      });
    },
  },
  {
    about: "commands",
    claim: "a command whose unit somebody stops has not succeeded",
    check: async (): Promise<void> => {
      const running = change("contract", ["sh", "-c", "echo begun; exec sleep 100"], 20_000);
      await unitIs("stackctl-contract.service", "active");
      await query("systemctl", ["stop", "stackctl-contract.service"]);
      assert.equal((await running).code, null);
    },
  },
  {
    about: "commands",
    claim: "what a former agent's command does is waited for, not disturbed",
    check: async (): Promise<void> => {
      const folder = mkdtempSync(join(tmpdir(), "stackctl-contract-"));
      await query("systemd-run", [
        "--collect",
        "--unit=stackctl-contract.service",
        ...["sh", "-c", `sleep 2; mkdir ${folder}/done`],
      ]);
      const { output } = await change("contract", ["ls", folder], 20_000);
      rmSync(folder, { recursive: true });
      assert.equal(output, "done\n");
    },
  },
  {
    about: "files",
    claim: "on a full disk the old text stays, nothing is left beside it, and the error says so",
    check: async ({ files }: Host): Promise<void> => {
      const folder = mkdtempSync(join(tmpdir(), "stackctl-contract-"));
      const mounted = await query("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]);
      assert.equal(mounted.code, 0, mounted.stderr);
      try {
        const path = join(folder, "file");
        files.write(path, "old", 0o644);
        assert.throws(
          () => {
            files.write(path, "new".repeat(100_000), 0o644);
          },
          { code: "disk_full", message: `no room to write ${path}` },
        );
        assert.equal(files.read(path), "old");
        assert.deepEqual(readdirSync(folder), ["file"]);
      } finally {
        await query("umount", [folder]);
        rmSync(folder, { recursive: true });
      }
    },
  },
  {
    about: "files",
    claim: "the agent's own state is closed to others, whoever made it first",
    check: ({ files }: Host): void => {
      files.write(`${hostPaths.state}/contract/file`, "x", 0o600);
      for (const folder of [hostPaths.state, `${hostPaths.state}/contract`, `${hostPaths.state}/commands`])
        assert.equal(statSync(folder).mode & 0o7777, 0o700, folder);
      rmSync(`${hostPaths.state}/contract`, { recursive: true });
    },
  },
  {
    about: "packages",
    claim: "an interrupted dpkg is completed by the next install",
    check: async ({ packages }: Host): Promise<void> => {
      const folder = mkdtempSync(join(tmpdir(), "stackctl-contract-"));
      await packages.install(["tree"]);
      await packages.purge(["tree"]);
      const fetched = await change(
        "contract",
        ["sh", "-c", `cd ${folder} && apt-get -q -o APT::Sandbox::User=root download tree`],
        60_000,
      );
      assert.equal(fetched.code, 0, fetched.output);
      const [archive = ""] = readdirSync(folder);
      const unpacked = await change("contract", ["dpkg", "--unpack", join(folder, archive)], 60_000);
      rmSync(folder, { recursive: true });
      assert.equal(unpacked.code, 0, unpacked.output);
      assert.equal(packages.installed("tree"), null);
      await packages.install(["jq"]);
      assert.notEqual(packages.installed("tree"), null);
      await packages.purge(["tree", "jq", "libjq1", "libonig5"]);
      assert.equal((await query("dpkg", ["--audit"])).stdout, "");
    },
  },
  {
    about: "packages",
    claim: "a package that another one needs stays when it is purged",
    check: async ({ packages }: Host): Promise<void> => {
      await packages.install(["jq"]);
      await packages.purge(["libonig5"]);
      assert.notEqual(packages.installed("libonig5"), null);
      assert.notEqual(packages.installed("jq"), null);
      await packages.purge(["libonig5", "libjq1", "jq"]);
      assert.equal(packages.installed("libonig5"), null);
    },
  },
];

/** Waits until a unit is in a state. @throws AssertionError after 10 s */
async function unitIs(unit: string, state: string): Promise<void> {
  const until = performance.now() + 10_000;
  for (;;) {
    const { stdout } = await query("systemctl", ["show", "-p", "ActiveState", "--value", unit]);
    if (stdout.trim() === state) return;
    assert(performance.now() < until, `${unit} is ${stdout.trim()}, not ${state}`);
  }
}
