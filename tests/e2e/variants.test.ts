import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ApplyResult } from "@stackctl/protocol";
import { afterEach, describe, expect, it } from "vitest";
import { leftovers } from "../lab/leftovers.ts";
import { readLab, runOn } from "../lab/lab.ts";
import { initStack, root, stackIn, succeed } from "../stack.ts";
import { heldBy, outsideRegistry } from "./outside-registry.ts";
import { applied, green, on, until } from "./world.ts";

/** A lab beside any other, of one variant after the other. */
const name = "variant";
const home = "--management 10.33.0.0/24 --public 192.168.33.0/24 --data 10.33.1.0/24";
const full = process.env["STACKCTL_FULL"] === "1";

/** How clouds differ in what they are reached and fed by, each with what shows that it was so. */
const variants: { name: string; lab: string; proof: string[]; shows: RegExp }[] = [
  {
    name: "packages from a mirror, without a proxy",
    lab: `${home} --no-proxy`,
    proof: ["sh", "-c", "cat /etc/apt/sources.list.d/*; grep -rci proxy /etc/apt/apt.conf.d || true"],
    shows: /http:\/\/10\.33\.0\.1:\d+\/debian/,
  },
  {
    name: "packages through a proxy",
    lab: home,
    proof: ["sh", "-c", "cat /etc/apt/apt.conf.d/*"],
    shows: /Acquire::http::Proxy "http:\/\/10\.33\.0\.1:3128"/,
  },
  {
    name: "user ops with sudo, sshd on port 2222, NICs ens3 to ens5 on other networks",
    lab: "--management 172.30.5.0/24 --public 172.30.6.0/24 --data 172.30.7.0/24 --user ops --ssh-port 2222 --nics ens3,ens4,ens5",
    proof: ["sh", "-c", "ip -o -4 address show dev ens3; grep Port /etc/ssh/sshd_config.d/lab.conf"],
    shows: /172\.30\.5\.1\d[\s\S]*2222/,
  },
];

describe.runIf(full)("bare hosts with", () => {
  const lab = (...args: string[]): void => {
    execFileSync(process.execPath, [join(root, "tests/lab/main.ts"), ...args], { stdio: "inherit" });
  };
  let folder = "";

  afterEach(async () => {
    const stack = stackIn(folder);
    if (existsSync(join(stack.home, "server.json"))) await stack.run(["server", "stop"]);
    lab("down", "--name", name);
    rmSync(folder, { recursive: true, force: true });
    expect(await leftovers(name)).toEqual([]);
  });

  it.each(variants)("$name become a green cloud, and a second apply changes nothing", async (variant) => {
    folder = mkdtempSync(join(tmpdir(), "stackctl-variant-"));
    lab("up", "--name", name, "--fresh", ...variant.lab.split(" "));
    const made = readLab(name);
    const stack = stackIn(folder);
    await initStack(stack, made);
    const first = await stack.run(["apply", "aio", "--json"]);
    expect(applied(first), first.stderr).toMatchObject({
      outcome: "changed",
      totals: { failed: 0, skipped: 0 },
    });
    await green(stack, 30);
    for (const { name: host } of made.hosts)
      expect(await on(made, host, ...variant.proof), host).toMatch(variant.shows);
    const second = await stack.run(["apply", "aio", "--json"]);
    expect(applied(second).totals).toMatchObject({ changed: 0, failed: 0, skipped: 0 });
    console.log(`${variant.name}: ${first.seconds.toFixed(1)} s, then ${second.seconds.toFixed(2)} s`);
  });

  it("an outside registry with a login use it in the place of their own, and go back, and restart nothing for it", async () => {
    folder = mkdtempSync(join(tmpdir(), "stackctl-variant-"));
    lab("up", "--name", name, "--fresh", ...home.split(" "), "--controllers", "3", "--computes", "1");
    const made = readLab(name);
    const stack = stackIn(folder);
    await initStack(stack, made);
    // The compute is none of this cloud: it stands for somebody else's machine.
    const own = readFileSync(stack.cloudFile, "utf8").replace(/^ {2}compute1:.*\n/m, "");
    writeFileSync(stack.cloudFile, own);
    const controllers = ["controller1", "controller2", "controller3"];
    const apply = async (): Promise<ApplyResult> => {
      const ended = await stack.run(["apply", "aio", "--json"]);
      const result = applied(ended);
      expect(result, ended.stderr).toMatchObject({ totals: { failed: 0, skipped: 0 } });
      await green(stack, 60);
      return result;
    };
    const everywhere = (...argv: string[]): Promise<string[]> =>
      Promise.all(controllers.map(async (host) => (await on(made, host, ...argv)).trim()));
    const started = (): Promise<string[]> =>
      everywhere("docker", "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", "memcached");
    const ofRegistry = (): Promise<string[]> =>
      everywhere(
        "sh",
        "-c",
        "docker ps -a --format '{{.Names}}' | grep registry; ls -d /etc/stackctl/registry /etc/docker/certs.d/registry* 2>/dev/null; ls /etc/systemd/system | grep registry; true",
      );
    await apply();
    const before = await started();
    expect((await ofRegistry()).every((text) => text.includes("/etc/stackctl/registry"))).toBe(true);

    const outside = await outsideRegistry(made, "compute1");
    const indented = outside.ca.trim().replaceAll(/^/gm, "    ");
    writeFileSync(
      stack.cloudFile,
      `${own}registry:\n  name: "${outside.name}"\n  user: ${outside.user}\n  ca: |\n${indented}\n`,
    );
    await succeed(stack.run(["secret", "set", "registry-password"], { input: outside.password }));
    expect((await apply()).outcome).toBe("changed");
    expect(await heldBy(made, "compute1")).toContain("memcached");
    // The service left: nothing of it is on any host but its data, which is reported.
    expect(await ofRegistry()).toEqual(["", "", ""]);
    expect(await started()).toEqual(before);
    expect((await apply()).outcome).toBe("unchanged");

    const image = (
      await on(made, "controller2", "docker", "inspect", "-f", "{{.Image}}", "memcached")
    ).trim();
    await on(made, "controller2", "systemctl", "stop", "stackctl-agent");
    await on(made, "controller2", "docker", "rm", "--force", "memcached");
    await on(made, "controller2", "docker", "image", "rm", "--force", image);
    await on(made, "controller2", "systemctl", "start", "stackctl-agent");
    await until("memcached of controller2 is back", 60, async () =>
      (await runOn(made, "controller2", ["docker", "image", "inspect", image])).code === 0 ? true : null,
    );
    await green(stack, 60);

    const running = await started();
    writeFileSync(stack.cloudFile, own);
    expect((await apply()).outcome).toBe("changed");
    expect((await ofRegistry()).every((text) => text.includes("/etc/stackctl/registry"))).toBe(true);
    expect(await started()).toEqual(running);
    expect((await apply()).outcome).toBe("unchanged");
    const text = JSON.stringify([await stack.run(["events", "--limit", "500"]), await stack.run(["plan"])]);
    expect(text.includes(outside.password)).toBe(false);
  });
});
