import { connect } from "node:net";
import { logEntry, ports, type LogEntry } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import { runOn, type Lab } from "../lab/lab.ts";
import { powerOff, powerOn } from "../lab/power.ts";
import type { Stack } from "../stack.ts";
import { green, until } from "./world.ts";

/**
 * Registers what `stackctl logs` promises, on a cloud that is green when these are run and is left green.
 * @param given asked only once the claims run
 */
export function logsClaims(given: () => { readonly lab: Lab; readonly stack: Stack }): void {
  describe("logs", () => {
    it("of a service come from every host that has it, by time", async () => {
      const { lab, stack } = given();
      const ended = await stack.run(["logs", "memcached", "-n", "1000", "--json"]);
      expect(ended.code, ended.stderr).toBe(0);
      const lines = entries(ended.stdout);
      expect([...new Set(lines.map(({ host }) => host))].toSorted()).toEqual(controllers(lab));
      expect(lines.map(({ at }) => at)).toEqual(lines.map(({ at }) => at).toSorted());
      console.log(`logs of ${String(controllers(lab).length)} hosts ${ended.seconds.toFixed(2)} s`);
    });

    it("show what a container says within 2 s to everybody who follows, and leave nothing behind on the hosts", async () => {
      const { lab, stack } = given();
      const followers = [1, 2].map(() => stack.start(["logs", "registry", "-f", "-n", "0", "--json"]));
      const [one, two] = followers;
      if (one === undefined || two === undefined) throw new Error("nobody follows");
      try {
        for (const host of controllers(lab))
          await until(`${host} is read twice`, 20, async () =>
            (await readers(lab, host)) === 2 ? true : null,
          );
        for (const host of controllers(lab)) {
          const mark = await disturbRegistry(lab, host);
          const begun = performance.now();
          for (const { stdout } of followers)
            await until(`the line of ${host}`, 10, () =>
              Promise.resolve(
                entries(stdout()).some((line) => line.host === host && line.text.includes(mark))
                  ? true
                  : null,
              ),
            );
          const seconds = (performance.now() - begun) / 1000;
          console.log(`line of ${host} after ${seconds.toFixed(2)} s`);
          expect(seconds).toBeLessThan(2);
        }
      } finally {
        // One as with Ctrl-C; the other has no chance to say that it ends.
        process.kill(one.pid, "SIGINT");
        process.kill(two.pid, "SIGKILL");
      }
      expect((await one.ended).code).toBe(130);
      await two.ended;
      for (const host of controllers(lab))
        await until(`nothing is left on ${host}`, 60, async () =>
          (await readers(lab, host)) === 0 ? true : null,
        );
    });

    it("leave nothing behind either when an agent is killed", async () => {
      const { lab, stack } = given();
      const [host = ""] = controllers(lab);
      const follower = stack.start(["logs", "chrony", host, "-f"]);
      try {
        await until("it is read", 20, async () => ((await readers(lab, host)) === 1 ? true : null));
        process.kill(follower.pid, "SIGKILL");
        await follower.ended;
        await runOn(lab, host, ["systemctl", "kill", "-s", "KILL", "stackctl-agent"]);
      } finally {
        await until("nothing is left", 30, async () => ((await readers(lab, host)) === 0 ? true : null));
      }
      // Status takes a heartbeat or three to notice; the next claim wants this agent to answer.
      await until("the agent answers again", 30, async () =>
        (await stack.run(["logs", "chrony", host, "-n", "1"])).stderr.includes("not shown") ? null : true,
      );
      await green(stack, 30);
    });

    it("name a host that is off, once, and show the others", async () => {
      const { lab, stack } = given();
      await powerOff(lab, "compute1");
      try {
        const ended = await stack.run(["logs", "chrony", "-n", "1000"]);
        expect(ended.code, ended.stderr).toBe(0);
        expect(ended.stderr.match(/^compute1 .*its lines are not shown$/gm)).toHaveLength(1);
        for (const host of controllers(lab)) expect(ended.stdout, ended.stderr).toContain(` ${host} `);
        expect(ended.stdout).not.toMatch(/ compute1 /);
      } finally {
        await powerOn(lab, "compute1");
      }
      await green(stack, 90);
    });

    it("of what is not there are told with what is", async () => {
      const { stack } = given();
      const service = await stack.run(["logs", "memcachd"]);
      expect(service.code).toBe(1);
      expect(service.stderr).toContain("memcached");
      const host = await stack.run(["logs", "memcached", "compute1"]);
      expect(host.code).toBe(1);
      expect(host.stderr).toMatch(/compute1 has no memcached\n.*controller1/);
    });
  });
}

function controllers(lab: Lab): string[] {
  return lab.hosts
    .filter(({ role }) => role === "controller")
    .map(({ name }) => name)
    .toSorted();
}

function entries(stdout: string): LogEntry[] {
  // The last line may not be whole yet.
  return stdout
    .split("\n")
    .slice(0, -1)
    .map((line) => logEntry.parse(JSON.parse(line)));
}

/** How many read a journal on a host just now. */
async function readers(lab: Lab, host: string): Promise<number> {
  const { stdout } = await runOn(lab, host, ["pgrep", "-c", "-x", "journalctl"]);
  return Number(stdout);
}

/** Says to a registry what is no TLS, which it writes down. @returns what only that line has */
function disturbRegistry(lab: Lab, host: string): Promise<string> {
  const address = lab.hosts.find(({ name }) => name === host)?.management ?? "";
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port: ports.registry }, () => {
      const mark = `${socket.localAddress ?? ""}:${String(socket.localPort)}`;
      socket.once("close", () => {
        resolve(mark);
      });
      socket.resume();
      socket.end("this is no TLS\r\n\r\n");
    });
    socket.once("error", reject);
  });
}
