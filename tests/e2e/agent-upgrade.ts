import { appendFileSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { upgradeView, type UpgradeView } from "@stackctl/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readLab, runOn, type Lab } from "../lab/lab.ts";
import { powerOff, powerOn } from "../lab/power.ts";
import { root, type Ended, type Stack } from "../stack.ts";
import { green, on, until } from "./world.ts";

/** A lab whose hosts are enrolled and at rest, and the cloud on it. */
export interface UpgradeWorld {
  readonly lab: () => Lab;
  readonly stack: () => Stack;
}

/** An upgrade may take this long in whatever case. */
const limitSeconds = 90;

/**
 * Registers what must hold of `agent upgrade`. Leaves every host on the built-in release, and the lab as green as it was.
 * To be called where `describe` may be, after what makes the cloud green.
 */
export function describeAgentUpgrade(world: UpgradeWorld): void {
  describe("an upgrade of the agents", () => {
    let folder: string;
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), "stackctl-bundles-"));
    });
    afterAll(() => {
      rmSync(folder, { recursive: true });
    });
    const bundle = (name: string, text: string): string => {
      const file = join(folder, `${name}.cjs`);
      writeFileSync(file, text);
      return file;
    };
    /** The real one, with another digest. */
    const another = (name: string): string => {
      const file = join(folder, `${name}.cjs`);
      copyFileSync(join(root, "packages/agent/dist/agent.cjs"), file);
      appendFileSync(file, `// ${name}\n`);
      return file;
    };
    const upgrade = async (...args: string[]): Promise<{ ended: Ended; view: UpgradeView }> => {
      const ended = await world.stack().run(["agent", "upgrade", ...args, "--json"]);
      console.log(
        `agent upgrade ${args.join(" ")}: exit ${String(ended.code)} in ${ended.seconds.toFixed(1)} s`,
      );
      return { ended, view: upgradeView.parse(JSON.parse(ended.stdout)) };
    };
    const names = (): string[] => world.lab().hosts.map(({ name }) => name);
    const releases = async (): Promise<string[]> =>
      Promise.all(
        names().map(async (host) =>
          (await on(world.lab(), host, "readlink", "/opt/stackctl/current")).trim(),
        ),
      );
    /** What runs beside the agent: each container with when it was started, and each unit with its process. */
    const others = async (): Promise<string[]> =>
      Promise.all(
        names().map(async (host) => {
          const script =
            "docker ps -q --no-trunc 2>/dev/null | xargs -r docker inspect -f '{{.Name}} {{.State.Pid}}' | sort; systemctl show -p MainPID chrony docker";
          return on(world.lab(), host, "sh", "-c", script);
        }),
      );
    const hangs = 'process.on("SIGTERM", () => undefined);\nfor (;;);\n';
    const one = (all: readonly string[]): void => {
      expect(new Set(all).size, all.join(" ")).toBe(1);
    };

    it(`to a good bundle brings all hosts to it within ${String(limitSeconds)} s, one compute first, and nothing else notices`, async () => {
      const before = { releases: await releases(), others: await others() };
      const { ended, view } = await upgrade("--bundle", another("good"));
      expect(ended.code, ended.stderr).toBe(0);
      expect(ended.seconds).toBeLessThan(limitSeconds);
      expect(view.hosts.filter(({ canary }) => canary).map(({ host }) => host)).toEqual(["compute1"]);
      const after = await releases();
      one(after);
      expect(after[0]).not.toBe(before.releases[0]);
      expect(await others()).toEqual(before.others);
      await green(world.stack(), 30);
    });

    it("to the same again is unchanged", async () => {
      const before = await releases();
      const { ended, view } = await upgrade("--bundle", another("good"));
      expect([ended.code, view.outcome]).toEqual([0, "unchanged"]);
      expect(await releases()).toEqual(before);
    });

    it.each([
      ["throws at its start", 'throw new Error("broken");\n'],
      ["hangs at its start", hangs],
    ])(
      `to a bundle that %s ends within ${String(limitSeconds)} s with all hosts as they were, and says why`,
      async (name, text) => {
        const before = { releases: await releases(), others: await others() };
        const { ended, view } = await upgrade("--bundle", bundle(name.replaceAll(" ", "-"), text));
        expect(ended.code).toBe(1);
        expect(ended.seconds).toBeLessThan(limitSeconds);
        expect(view.why).toContain("compute1 did not connect");
        expect(view.hosts.filter(({ state }) => state === "failed").map(({ host }) => host)).toEqual([
          "compute1",
        ]);
        expect(await releases()).toEqual(before.releases);
        expect(await others()).toEqual(before.others);
        await green(world.stack(), 30);
      },
    );

    it("during which the first host loses power leaves all hosts as they were once it is up again", async () => {
      const before = await releases();
      const run = world.stack().start(["agent", "upgrade", "--bundle", bundle("power", hangs), "--json"]);
      await until("compute1 is switched", 60, async () => {
        const { code } = await runOn(world.lab(), "compute1", ["test", "-L", "/opt/stackctl/former"]);
        return code === 0 ? true : null;
      });
      await powerOff(readLab(world.lab().name), "compute1");
      const ended = await run.ended;
      expect(ended.code, ended.stdout).toBe(1);
      expect(ended.seconds).toBeLessThan(limitSeconds);
      await powerOn(readLab(world.lab().name), "compute1");
      await until("compute1 is back on its own", 120, async () => {
        const { code } = await runOn(world.lab(), "compute1", ["test", "-L", "/opt/stackctl/former"]);
        return code === 1 ? true : null;
      });
      expect(await releases()).toEqual(before);
      await green(world.stack(), 60);
    });

    it("without a bundle brings all hosts to the one that is built in", async () => {
      const { ended } = await upgrade();
      expect(ended.code, ended.stderr).toBe(0);
      one(await releases());
      await green(world.stack(), 30);
    });
  });
}
