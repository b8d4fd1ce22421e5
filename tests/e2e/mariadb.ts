import { describe, expect, it } from "vitest";
import { powerOff, powerOn } from "../lab/power.ts";
import type { Lab } from "../lab/lab.ts";
import type { Stack } from "../stack.ts";
import { applied, green, on, status, until } from "./world.ts";

const controllers = ["controller1", "controller2", "controller3"];
const full = process.env["STACKCTL_FULL"] === "1";
const configuration = "/etc/stackctl/mariadb/galera.cnf";

/** What the cluster of the databases does, on a green cloud with three controllers; it is green again afterwards. */
export function mariadbClaims(world: () => { readonly lab: Lab; readonly stack: Stack }): void {
  const run = async (host: string, ...argv: string[]): Promise<string> =>
    (await on(world().lab, host, ...argv)).trim();
  const everywhere = <T>(work: (host: string) => Promise<T>): Promise<T[]> =>
    Promise.all(controllers.map(work));
  const sql = (host: string, statement: string): Promise<string> =>
    run(
      host,
      "docker",
      "exec",
      "--user",
      "root",
      "mariadb",
      "mariadb",
      "--batch",
      "--skip-column-names",
      "--execute",
      statement,
    );
  const startedAt = (host: string): Promise<string> =>
    run(host, "docker", "inspect", "--format", "{{.State.StartedAt}}", "mariadb");
  const wsrep = async (host: string): Promise<string> =>
    (
      await sql(
        host,
        "SELECT variable_value FROM information_schema.global_status WHERE variable_name IN ('wsrep_local_state_comment', 'wsrep_cluster_size', 'wsrep_cluster_status') ORDER BY variable_name",
      ).catch(() => "no answer")
    ).replaceAll("\n", " ");
  const synced = async (): Promise<boolean> =>
    (await everywhere(wsrep)).every((each) => each === "3 Primary Synced");
  const untilSynced = async (what: string, seconds: number): Promise<void> => {
    const begun = performance.now();
    await until(`3/3 Synced ${what}`, seconds, async () => ((await synced()) ? true : null));
    console.log(`3/3 Synced ${what} after ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  };

  describe("MariaDB on three controllers", () => {
    it("is one cluster of three, each Synced, on its management address only, and status says so", async () => {
      expect(await everywhere(wsrep)).toEqual(controllers.map(() => "3 Primary Synced"));
      const ids = await everywhere((host) =>
        sql(
          host,
          "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'wsrep_cluster_state_uuid'",
        ),
      );
      expect(new Set(ids).size).toBe(1);
      for (const { name, management, role } of world().lab.hosts) {
        if (role !== "controller") continue;
        const listening = (await run(name, "ss", "-Hltn", "sport = :3306 or sport = :4567")).split("\n");
        expect(listening.map((line) => line.split(/\s+/)[3]).toSorted()).toEqual([
          `${management}:3306`,
          `${management}:4567`,
        ]);
      }
      expect((await green(world().stack, 30)).clusters["mariadb"]).toMatchObject({
        ok: true,
        text: "3/3 Synced",
      });
    });

    it("holds on every node what was written through one", async () => {
      await sql(
        "controller2",
        "CREATE DATABASE IF NOT EXISTS claim; CREATE OR REPLACE TABLE claim.t (n INT PRIMARY KEY); INSERT INTO claim.t VALUES (42)",
      );
      expect(await everywhere((host) => sql(host, "SELECT n FROM claim.t"))).toEqual(["42", "42", "42"]);
    });

    it("is neither changed nor restarted by a second apply", async () => {
      const before = await everywhere(startedAt);
      expect(applied(await world().stack.run(["apply", "controller", "--json"])).totals).toMatchObject({
        changed: 0,
        failed: 0,
        skipped: 0,
      });
      expect(await everywhere(startedAt)).toEqual(before);
    });

    it("is whole again after docker rm -f of one", async () => {
      await run("controller3", "docker", "rm", "--force", "mariadb");
      await untilSynced("after docker rm -f", 180);
      expect(await sql("controller3", "SELECT n FROM claim.t")).toBe("42");
      await green(world().stack, 60);
    });

    it("whose file was edited on all three at once is put back, never two down together", async () => {
      await everywhere((host) => run(host, "systemctl", "stop", "stackctl-agent"));
      await everywhere((host) =>
        run(host, "sed", "--in-place", "s/^max_connections = .*/max_connections = 77/", configuration),
      );
      const before = await everywhere(startedAt);
      await everywhere((host) => run(host, "systemctl", "start", "stackctl-agent"));
      let least = 3;
      await until("the file is back on all three", 240, async () => {
        const states = await everywhere(wsrep);
        least = Math.min(least, states.filter((state) => state.endsWith("Primary Synced")).length);
        const texts = await everywhere((host) => run(host, "cat", configuration));
        return texts.every((text) => !text.includes("= 77")) ? true : null;
      });
      expect(least).toBeGreaterThanOrEqual(2);
      // It never read the edit, so it need not be restarted for it.
      expect(await everywhere(startedAt)).toEqual(before);
      await green(world().stack, 90);
    });

    it.runIf(full)("comes back by itself after all three were stopped in order, with all data", async () => {
      const { stack } = world();
      await everywhere((host) => run(host, "systemctl", "stop", "stackctl-agent"));
      // One after the other, as a person would: each hands over, and only the last knows that it was the last.
      for (const [index, host] of controllers.entries()) {
        await sql(host, `INSERT INTO claim.t VALUES (${String(100 + index)})`);
        await run(host, "systemctl", "stop", "stackctl-mariadb");
      }
      await everywhere((host) => run(host, "systemctl", "start", "stackctl-agent"));
      await untilSynced("after all were stopped", 300);
      expect(await everywhere((host) => sql(host, "SELECT COUNT(*) FROM claim.t WHERE n >= 100"))).toEqual([
        "3",
        "3",
        "3",
      ]);
      await sql("controller1", "DELETE FROM claim.t WHERE n >= 100");
      await green(stack, 60);
    });

    it("says that a member is off while a controller is, and has it back by itself once it is on", async () => {
      const { lab, stack } = world();
      await powerOff(lab, "controller3");
      try {
        await until("status says that it is off", 60, async () => {
          const { outcome, clusters } = await status(stack);
          return outcome === "degraded" && clusters["mariadb"]?.text === "2/3 Synced, controller3 off"
            ? true
            : null;
        });
        await sql("controller1", "INSERT INTO claim.t VALUES (43)");
      } finally {
        await powerOn(lab, "controller3");
      }
      await untilSynced("after a power cut", 240);
      expect(await sql("controller3", "SELECT COUNT(*) FROM claim.t")).toBe("2");
      await sql("controller1", "DROP DATABASE claim");
      await green(stack, 120);
    });
  });
}
