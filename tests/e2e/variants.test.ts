import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { leftovers } from "../lab/leftovers.ts";
import { readLab } from "../lab/lab.ts";
import { initStack, root, stackIn } from "../stack.ts";
import { applied, green, on } from "./world.ts";

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

describe.runIf(full)("five bare hosts with", () => {
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
});
