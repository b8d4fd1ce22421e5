import { describe, expect, it } from "vitest";
import { powerOff, powerOn } from "../lab/power.ts";
import type { Lab } from "../lab/lab.ts";
import { succeed, type Stack } from "../stack.ts";
import { applied, events, green, on, until } from "./world.ts";

const controllers = ["controller1", "controller2", "controller3"];
const computes = ["compute1", "compute2"];

/** What containers and dockerd do when somebody lays hand on them, on a green cloud; it is green again afterwards. */
export function containerClaims(world: () => { readonly lab: Lab; readonly stack: Stack }): void {
  const run = async (host: string, ...argv: string[]): Promise<string> =>
    (await on(world().lab, host, ...argv)).trim();
  const everywhere = <T>(hosts: readonly string[], work: (host: string) => Promise<T>): Promise<T[]> =>
    Promise.all(hosts.map(work));
  /** When the process in a host's memcached container was started: another one after any restart. */
  const memcachedStarted = (host: string): Promise<string> =>
    run(host, "docker", "inspect", "--format", "{{.State.StartedAt}}", "memcached");
  const dockerPid = (host: string): Promise<string> =>
    run(host, "systemctl", "show", "--property", "MainPID", "--value", "docker.service");
  const addressOf = (host: string): string =>
    world().lab.hosts.find(({ name }) => name === host)?.management ?? "";
  const answers = async (host: string): Promise<boolean> => {
    return (
      await run(
        host,
        "bash",
        "-c",
        `exec 3<>/dev/tcp/${addressOf(host)}/11211; echo version >&3; head -1 <&3`,
      )
    ).startsWith("VERSION");
  };

  describe("memcached, the first service in a container", () => {
    it("answers on each controller, on its management address only", async () => {
      for (const host of controllers) {
        expect(await answers(host), host).toBe(true);
        const listening = (await run(host, "ss", "-Hltn", "sport = :11211")).split("\n");
        expect(listening.map((line) => line.split(/\s+/)[3])).toEqual([`${addressOf(host)}:11211`]);
      }
      expect(await run("compute1", "docker", "ps", "--all", "--quiet")).toBe("");
    });

    it("is back after docker rm -f on all three at once", async () => {
      const before = await everywhere(controllers, memcachedStarted);
      await everywhere(controllers, (host) => run(host, "docker", "rm", "--force", "memcached"));
      await until("memcached answers on all three", 90, async () =>
        (await everywhere(controllers, (host) => answers(host).catch(() => false))).every(Boolean)
          ? true
          : null,
      );
      const after = await everywhere(controllers, memcachedStarted);
      for (const [index, host] of controllers.entries()) expect(after[index], host).not.toBe(before[index]);
      await green(world().stack, 60);
    });

    it("is started again after docker kill and docker stop, by its unit, also while no agent runs", async () => {
      await run("controller3", "systemctl", "stop", "stackctl-agent");
      try {
        for (const verb of ["kill", "stop"]) {
          const before = await memcachedStarted("controller3");
          await run("controller3", "docker", verb, "memcached");
          await until(`memcached answers after docker ${verb}`, 30, async () =>
            (await answers("controller3").catch(() => false)) &&
            (await memcachedStarted("controller3")) !== before
              ? true
              : null,
          );
        }
      } finally {
        await run("controller3", "systemctl", "start", "stackctl-agent");
      }
      await green(world().stack, 60);
    });
  });

  describe("dockerd", () => {
    it("that was stopped on all five is up again, and no container noticed", async () => {
      const before = await everywhere(controllers, memcachedStarted);
      await everywhere([...controllers, ...computes], (host) =>
        run(host, "systemctl", "stop", "docker.service", "docker.socket"),
      );
      await until("docker is up on all five", 90, async () =>
        (
          await everywhere([...controllers, ...computes], (host) =>
            run(host, "systemctl", "show", "--property", "ActiveState", "--value", "docker.service"),
          )
        ).every((state) => state === "active")
          ? true
          : null,
      );
      await green(world().stack, 60);
      expect(await everywhere(controllers, memcachedStarted)).toEqual(before);
    });

    it("whose daemon.json was edited on all five is put back, one controller after the other; what is held is left alone", async () => {
      const { stack } = world();
      const all = [...controllers, ...computes];
      const containers = await everywhere(controllers, memcachedStarted);
      let pids: string[];
      await succeed(stack.run(["hold", "docker@compute2", "--for", "1h", "--why", "an end-to-end test"]));
      let since: number;
      try {
        // With no agent there, so that every dockerd runs with the edit and has to be restarted again.
        await everywhere(all, (host) => run(host, "systemctl", "stop", "stackctl-agent"));
        await everywhere(all, async (host) => {
          const edit = 's/"live-restore": true/"live-restore": true, "debug": true/';
          await run(host, "sed", "--in-place", edit, "/etc/docker/daemon.json");
          await run(host, "systemctl", "restart", "docker.service");
        });
        pids = await everywhere(all, dockerPid);
        since = Math.floor(Date.now() / 1000);
        await everywhere(all, (host) => run(host, "systemctl", "start", "stackctl-agent"));
        const putBack = (host: string): Promise<boolean> =>
          run(host, "cat", "/etc/docker/daemon.json").then((text) => !text.includes("debug"));
        await until("put back on the four that are not held", 150, async () =>
          (
            await everywhere(
              [...controllers, "compute1"],
              async (host) => (await putBack(host)) && (await dockerPid(host)) !== pids[all.indexOf(host)],
            )
          ).every(Boolean)
            ? true
            : null,
        );
        expect(await putBack("compute2")).toBe(false);
        expect(await dockerPid("compute2")).toBe(pids[all.indexOf("compute2")]);
      } finally {
        await succeed(stack.run(["release", "docker@compute2"]));
      }
      await green(stack, 90);
      expect(await run("compute2", "cat", "/etc/docker/daemon.json")).not.toContain("debug");
      expect(await everywhere(controllers, memcachedStarted)).toEqual(containers);

      const down = (await everywhere(controllers, (host) => downTimes(run, host, since))).flat();
      expect(down.length, "each controller's dockerd was restarted").toBeGreaterThanOrEqual(3);
      const inOrder = down.toSorted((a, b) => a.from - b.from);
      for (const [index, { host, from }] of inOrder.entries()) {
        const before = inOrder[index - 1];
        expect(
          before === undefined || before.until <= from,
          `dockerd of ${host} and of ${before?.host ?? ""} were down together`,
        ).toBe(true);
      }
      const told = (await events(stack, 300)).filter(({ type }) => type === "permit.given");
      expect(new Set(told.map(({ host }) => host)).size).toBeGreaterThanOrEqual(3);
    });
  });

  describe("an agent that is killed in the middle of apt-get install docker.io", () => {
    it("leaves dpkg whole, and the run goes on to a good end", async () => {
      const { stack } = world();
      await run("compute1", "systemctl", "stop", "stackctl-agent");
      await run("compute1", "apt-get", "purge", "--yes", "docker.io", "containerd", "runc");
      await run("compute1", "rm", "-rf", "/opt/stackctl", "/var/lib/stackctl-agent");
      const started = stack.start(["apply", "compute1", "--json"]);
      const apt = "apt-get .*install.* docker.io";
      await until("apt-get installs docker.io", 120, async () =>
        (await run("compute1", "pgrep", "--full", apt).catch(() => "")) === "" ? null : true,
      );
      await until("dpkg unpacks", 60, async () =>
        (await run("compute1", "pgrep", "--exact", "dpkg").catch(() => "")) === "" ? null : true,
      );
      await run("compute1", "systemctl", "kill", "--signal", "KILL", "stackctl-agent");
      const ended = await started.ended;
      expect(ended.code, ended.stderr).toBe(0);
      expect(applied(ended).totals).toMatchObject({ failed: 0, skipped: 0 });
      expect(await run("compute1", "dpkg", "--audit")).toBe("");
      expect(await run("compute1", "systemctl", "is-active", "docker.service")).toBe("active");
      await green(stack, 30);
    });
  });

  describe("the primary controller being off", () => {
    it("does not keep another one from getting its image back, from a mirror", async () => {
      const { lab, stack } = world();
      await powerOff(lab, "controller1");
      try {
        const image = await run("controller2", "docker", "inspect", "--format", "{{.Image}}", "memcached");
        await run("controller2", "systemctl", "stop", "stackctl-agent");
        await run("controller2", "docker", "rm", "--force", "memcached");
        await run("controller2", "docker", "rmi", "--force", image);
        await run("controller2", "systemctl", "start", "stackctl-agent");
        const begun = performance.now();
        await until("memcached answers on controller2", 120, async () =>
          (await answers("controller2").catch(() => false)) ? true : null,
        );
        console.log(`back from the mirror in ${((performance.now() - begun) / 1000).toFixed(1)} s`);
        expect(await run("controller2", "docker", "inspect", "--format", "{{.Image}}", "memcached")).toBe(
          image,
        );
      } finally {
        await powerOn(lab, "controller1");
      }
      await green(stack, 240);
      expect(applied(await stack.run(["apply", "aio", "--json"])).totals).toMatchObject({
        changed: 0,
        failed: 0,
      });
    });
  });
}

/** When a host's dockerd was down since then, Unix milliseconds, as its journal tells. */
async function downTimes(
  run: (host: string, ...argv: string[]) => Promise<string>,
  host: string,
  sinceSeconds: number,
): Promise<{ host: string; from: number; until: number }[]> {
  const lines = (
    await run(
      host,
      ...["journalctl", "--unit", "docker.service", "--since", `@${String(sinceSeconds)}`],
      ...["--output", "json", "--output-fields", "MESSAGE,CODE_FUNC,JOB_TYPE,JOB_RESULT", "--no-pager"],
    )
  ).split("\n");
  const times: { host: string; from: number; until: number }[] = [];
  let from: number | null = null;
  for (const line of lines) {
    if (line === "") continue;
    const entry = JSON.parse(line) as { MESSAGE?: unknown; __REALTIME_TIMESTAMP: string };
    const at = Number(entry.__REALTIME_TIMESTAMP) / 1000;
    if (typeof entry.MESSAGE !== "string") continue;
    if (entry.MESSAGE.startsWith("Stopping docker.service")) from ??= at;
    if (entry.MESSAGE.startsWith("Started docker.service") && from !== null) {
      times.push({ host, from, until: at });
      from = null;
    }
  }
  return times;
}
