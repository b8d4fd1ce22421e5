import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { planResult } from "@stackctl/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cut, heal } from "../lab/cut.ts";
import { fill, unfill } from "../lab/fill.ts";
import { leftovers } from "../lab/leftovers.ts";
import { powerOff, powerOn } from "../lab/power.ts";
import { readLab, runOn, type Lab } from "../lab/lab.ts";
import { initStack, root, stackIn, succeed, type Ended, type Stack } from "../stack.ts";
import { containerClaims } from "./containers.ts";
import { imageClaims } from "./images.ts";
import { logsClaims } from "./logs.ts";
import { removalClaims } from "./removal.ts";
import { describeAgentUpgrade } from "./agent-upgrade.ts";
import { keystoneClaims } from "./keystone.ts";
import { mariadbClaims } from "./mariadb.ts";
import { applied, bootIds, events, green, on, status, treeHash, until } from "./world.ts";

/** Names and addresses that no demo uses, so that both can be up. */
const labArguments = [
  "--name",
  "test",
  "--management",
  "10.30.0.0/24",
  "--public",
  "192.168.30.0/24",
  "--data",
  "10.30.1.0/24",
];
const full = process.env["STACKCTL_FULL"] === "1";
const everyHost = ["controller1", "controller2", "controller3", "compute1", "compute2"];

let folder: string;
let lab: Lab;
let stack: Stack;
let bootsBefore: Record<string, string>;

function labCommand(...args: string[]): void {
  execFileSync(process.execPath, [join(root, "tests/lab/main.ts"), ...args], { stdio: "inherit" });
}

beforeAll(async () => {
  labCommand("up", ...labArguments, "--fresh");
  lab = readLab("test");
  folder = mkdtempSync(join(tmpdir(), "stackctl-e2e-"));
  stack = stackIn(folder);
  await initStack(stack, lab);
});

afterAll(async () => {
  if (existsSync(join(stack.home, "server.json"))) await stack.run(["server", "stop"]);
  labCommand("down", "--name", "test");
  rmSync(folder, { recursive: true, force: true });
  expect(await leftovers("test")).toEqual([]);
});

describe("five bare hosts", () => {
  it("are found fit by preflight, over ssh, before anything is on them", async () => {
    const ended = await stack.run(["preflight"]);
    expect(ended.code, ended.stdout + ended.stderr).toBe(0);
    for (const host of everyHost) expect(ended.stdout).toContain(host);
    await expect(on(lab, "compute1", "test", "-e", "/opt/stackctl")).rejects.toThrow();
  });

  it("become a green cloud by one apply, and every one of them was restarted once", async () => {
    bootsBefore = await bootIds(lab);
    const ended = await stack.run(["apply", "aio", "--json"]);
    const result = applied(ended);
    expect(result, ended.stderr).toMatchObject({ outcome: "changed", totals: { failed: 0, skipped: 0 } });
    expect(ended.code).toBe(0);
    await green(stack, 60);
    const after = await bootIds(lab);
    for (const host of everyHost) expect(after[host], host).not.toBe(bootsBefore[host]);
    bootsBefore = after;
    console.log(`first apply ${ended.seconds.toFixed(1)} s: ${JSON.stringify(result.totals)}`);
  });

  it("have the time, the names and the proxy that the file asks for", async () => {
    expect(await on(lab, "compute1", "cat", "/etc/chrony/chrony.conf")).toContain("server 10.30.0.11 iburst");
    expect(await on(lab, "compute1", "getent", "hosts", "controller2")).toContain("10.30.0.12");
    await until("compute1 follows a controller", 60, async () =>
      (await on(lab, "compute1", "chronyc", "-n", "tracking")).includes("Leap status     : Normal")
        ? true
        : null,
    );
  });

  it("stay untouched by a second apply, which takes at most 4 s", async () => {
    const ended = await stack.run(["apply", "aio", "--json"]);
    const result = applied(ended);
    expect(result).toMatchObject({ outcome: "unchanged", totals: { changed: 0, failed: 0, skipped: 0 } });
    expect(await bootIds(lab)).toEqual(bootsBefore);
    console.log(`second apply ${ended.seconds.toFixed(2)} s`);
    expect(ended.seconds).toBeLessThan(4);
  });

  it("show their status in a moment", async () => {
    const seconds: number[] = [];
    for (let round = 0; round < 5; round++) seconds.push((await stack.run(["status"])).seconds);
    console.log(`status ${seconds.map((each) => each.toFixed(2)).join(" ")} s`);
    // Of it 0.4 s are the command line's own; the services of five hosts share this machine's cores with it.
    expect(seconds.toSorted((a, b) => a - b)[2]).toBeLessThan(1);
  });
});

imageClaims(() => ({ lab, stack }));

describe("a change by hand", () => {
  const cases: {
    name: string;
    host: string;
    resource: string;
    by: string[];
    back: () => Promise<boolean>;
  }[] = [
    {
      name: "an edited chrony.conf",
      host: "compute1",
      resource: "chrony/chrony",
      by: ["sh", "-c", "echo 'server 192.0.2.1' >> /etc/chrony/chrony.conf"],
      back: async () => !(await on(lab, "compute1", "cat", "/etc/chrony/chrony.conf")).includes("192.0.2.1"),
    },
    {
      name: "a stopped chronyd",
      host: "compute2",
      resource: "chrony/chrony",
      by: ["systemctl", "stop", "chrony"],
      back: async () =>
        (await on(lab, "compute2", "systemctl", "show", "-p", "ActiveState", "chrony")).includes("=active"),
    },
    {
      name: "a line in /etc/hosts",
      host: "controller2",
      resource: "hosts-file/hosts",
      by: ["sh", "-c", "echo '192.0.2.7 rogue' >> /etc/hosts"],
      back: async () => !(await on(lab, "controller2", "cat", "/etc/hosts")).includes("rogue"),
    },
    {
      name: "a removed package",
      host: "controller3",
      resource: "chrony/chrony",
      by: ["apt-get", "remove", "-y", "chrony"],
      back: async () =>
        (await on(lab, "controller3", "dpkg-query", "-W", "-f", "${db:Status-Status}", "chrony")) ===
        "installed",
    },
  ];

  it.each(cases)(
    "$name is in the events within 2 s with its cause, and is put back",
    async ({ host, resource, by, back }) => {
      const before = (await events(stack)).at(-1)?.n ?? 0;
      const begun = Date.now();
      const act = on(lab, host, ...by);
      const seen = await until("drift", 30, async () => {
        const found = (await events(stack)).find(
          (event) => event.n > before && event.type === "resource.drifted" && event.host === host,
        );
        return found ?? null;
      });
      await act;
      const acted = Date.now();
      expect(seen.resource).toBe(resource);
      expect(seen.text).toMatch(/changed|stopped|removed|on the host/);
      // apt takes its time before and after the package is gone; the clock runs from when it began to when it ended.
      expect(Date.parse(seen.at) - Math.max(begun, by[0] === "apt-get" ? acted : begun)).toBeLessThan(2000);
      await until("put back", 90, async () => ((await back().catch(() => false)) ? true : null));
      await until("repair in the events", 30, async () =>
        (await events(stack)).some(
          (event) => event.n > before && event.type === "resource.repaired" && event.host === host,
        )
          ? true
          : null,
      );
      await green(stack, 15);
      const why = await succeed(stack.run(["why", `${resource}@${host}`]));
      expect(why.stdout).toContain("drift");
    },
  );
});

containerClaims(() => ({ lab, stack }));
mariadbClaims(() => ({ lab, stack }));
keystoneClaims(() => ({ lab, stack }));

// Before what takes an agent's memory away: a host that does not know what was there before it keeps all of it.
removalClaims(() => ({ lab, stack }));

describe("plan", () => {
  const edit = (from: string, to: string): void => {
    const text = readFileSync(stack.cloudFile, "utf8");
    expect(text).toContain(from);
    writeFileSync(stack.cloudFile, text.replace(from, to));
  };

  it("of a green cloud has nothing to do", async () => {
    const ended = await stack.run(["plan"]);
    expect(ended.code, ended.stdout + ended.stderr).toBe(0);
  });

  it("shows exactly the file and the restart of a new time server, touches nothing, and is applied as it was shown", async () => {
    edit(`servers: [${lab.timeServer}]`, `servers: [${lab.timeServer}, 192.0.2.123]`);
    const trees = await Promise.all(everyHost.map((host) => treeHash(lab, host)));
    const ended = await stack.run(["plan", "--json"]);
    expect(ended.code).toBe(3);
    const plan = planResult.parse(JSON.parse(ended.stdout));
    expect(plan.services.map(({ service }) => service)).toEqual(["chrony"]);
    expect(plan.services[0]?.hosts.map(({ host }) => host)).toEqual([
      "controller1",
      "controller2",
      "controller3",
    ]);
    for (const { resources } of plan.services[0]?.hosts ?? []) {
      const planned = resources.filter(({ outcome }) => outcome === "planned");
      expect(planned).toHaveLength(1);
      expect(planned[0]?.restarts).toEqual(["restart chrony.service"]);
      expect(planned[0]?.changes.some(({ to }) => String(to).includes("192.0.2.123"))).toBe(true);
    }
    expect(plan.totals).toMatchObject({ hosts: 3, restarts: 3 });
    expect(await Promise.all(everyHost.map((host) => treeHash(lab, host)))).toEqual(trees);

    const done = applied(await stack.run(["apply", "aio", "--plan", plan.hash, "--json"]));
    expect(done).toMatchObject({ outcome: "changed", totals: { changed: 3, failed: 0 } });
    for (const host of ["controller1", "controller2", "controller3"]) {
      expect(await on(lab, host, "cat", "/etc/chrony/chrony.conf")).toContain("192.0.2.123");
    }
  });

  it("is refused once a host was changed in between", async () => {
    edit(", 192.0.2.123]", "]");
    const plan = planResult.parse(JSON.parse((await stack.run(["plan", "--json"])).stdout));
    await on(lab, "compute1", "sh", "-c", "echo '192.0.2.8 rogue' >> /etc/hosts");
    await until("drift", 10, async () =>
      (await events(stack, 20)).some(
        (event) =>
          event.type === "resource.repaired" &&
          event.host === "compute1" &&
          event.resource === "hosts-file/hosts",
      )
        ? true
        : null,
    );
    const refused = await stack.run(["apply", "aio", "--plan", plan.hash]);
    expect(refused.code).toBe(1);
    expect(refused.stderr + refused.stdout).toContain("stale");
    expect(applied(await stack.run(["apply", "aio", "--json"])).totals).toMatchObject({
      changed: 3,
      failed: 0,
    });
    await green(stack, 15);
  });
});

describe("kill -9", () => {
  /**
   * Makes work for a run of about 20 s, the same every time: both computes lose their agent and chrony, as if their disks
   * had been restored from long ago.
   */
  const work = async (): Promise<void> => {
    await Promise.all(
      ["compute1", "compute2"].map(async (host) => {
        await on(lab, host, "systemctl", "stop", "stackctl-agent");
        await on(lab, host, "apt-get", "purge", "-y", "chrony");
        await on(lab, host, "rm", "-rf", "/opt/stackctl", "/var/lib/stackctl-agent");
      }),
    );
  };
  const serverPid = (): number | null => {
    const file = join(stack.home, "server.json");
    return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { pid: number }).pid : null;
  };
  const totals = (ended: Ended): unknown => ({ code: ended.code, totals: applied(ended).totals });
  const rounds = { server: full ? 20 : 2, agent: full ? 10 : 1 };
  let reference: unknown;
  let seconds = 0;

  it("of nothing is the reference", async () => {
    await work();
    const ended = await stack.run(["apply", "aio", "--json"]);
    reference = totals(ended);
    seconds = ended.seconds;
    expect(reference, ended.stderr).toMatchObject({ code: 0, totals: { failed: 0, skipped: 0 } });
    await green(stack, 20);
    console.log(`reference ${seconds.toFixed(1)} s: ${JSON.stringify(reference)}`);
  });

  it(`of the server at a random moment of a run leaves the end as it would have been (${String(rounds.server)} rounds)`, async () => {
    for (let round = 0; round < rounds.server; round++) {
      await work();
      const run = stack.start(["apply", "aio", "--json"]);
      const after = Math.random() * seconds * 1000;
      await pause(after);
      const pid = serverPid();
      if (pid !== null) process.kill(pid, "SIGKILL");
      const ended = await run.ended;
      expect(totals(ended), `round ${String(round)}, after ${after.toFixed(0)} ms\n${ended.stderr}`).toEqual(
        reference,
      );
      await green(stack, 30);
    }
  });

  it(`of an agent at a random moment of a run leaves the end as it would have been (${String(rounds.agent)} rounds)`, async () => {
    for (let round = 0; round < rounds.agent; round++) {
      await work();
      const run = stack.start(["apply", "aio", "--json"]);
      // Agents are there only in the second half of this run: before it, there is nothing to kill.
      const after = (0.5 + Math.random() / 2) * seconds * 1000;
      await pause(after);
      await runOn(lab, "compute1", ["systemctl", "kill", "-s", "KILL", "stackctl-agent"]);
      const ended = await run.ended;
      expect(totals(ended), `round ${String(round)}, after ${after.toFixed(0)} ms\n${ended.stderr}`).toEqual(
        reference,
      );
      await green(stack, 30);
    }
  });

  it("of nats-server and of the command line, and the command again: same end", async () => {
    await work();
    const run = stack.start(["apply", "aio", "--json"]);
    await pause(seconds * 700);
    const children = execFileSync("pgrep", ["-P", String(serverPid())], { encoding: "utf8" });
    for (const pid of children.trim().split("\n")) process.kill(Number(pid), "SIGKILL");
    process.kill(run.pid, "SIGKILL");
    await run.ended;
    expect(totals(await stack.run(["apply", "aio", "--json"]))).toEqual(reference);
    await green(stack, 30);
    expect(applied(await stack.run(["apply", "aio", "--json"])).totals).toMatchObject({
      changed: 0,
      failed: 0,
    });
  });
});

logsClaims(() => ({ lab, stack }));

describe("a host that is off", () => {
  it("during an apply is named, blocks nobody, and is completed on its return without a command", async () => {
    const text = readFileSync(stack.cloudFile, "utf8");
    const line = `servers: [${lab.timeServer}`;
    writeFileSync(
      stack.cloudFile,
      text.replace(line, `servers: [192.0.2.77, ${lab.timeServer}`).replace("compute1:", "compute1: "),
    );
    await powerOff(lab, "controller3");
    const ended = await stack.run(["apply", "aio", "--json"]);
    const result = applied(ended);
    expect(ended.code).toBe(0);
    expect(result.hosts.find(({ name }) => name === "controller3")).toMatchObject({
      outcome: "skipped",
      why: expect.stringContaining("absent") as string,
    });
    for (const host of ["controller1", "controller2"]) {
      expect(result.hosts.find(({ name }) => name === host)?.outcome).toBe("changed");
    }
    const degraded = await status(stack);
    expect(degraded.outcome).toBe("degraded");
    expect(degraded.problems.map(({ host }) => host)).toContain("controller3");

    await powerOn(lab, "controller3");
    await green(stack, 240);
    expect(await on(lab, "controller3", "cat", "/etc/chrony/chrony.conf")).toContain("192.0.2.77");
    bootsBefore = await bootIds(lab);
  });
});

describe("a host that is cut off", () => {
  it("keeps true what it has, and tells afterwards what it put back", async () => {
    const before = (await events(stack)).at(-1)?.n ?? 0;
    await cut(lab, "compute1", ["management"], false);
    try {
      await on(lab, "compute1", "sh", "-c", "echo '192.0.2.66 rogue' >> /etc/hosts");
      await until("put back while cut off", 10, async () =>
        (await on(lab, "compute1", "cat", "/etc/hosts")).includes("rogue") ? null : true,
      );
      await until("seen to be silent", 40, async () =>
        (await status(stack)).problems.some(({ host }) => host === "compute1") ? true : null,
      );
      expect(
        (await events(stack)).some((event) => event.n > before && event.type === "resource.repaired"),
      ).toBe(false);
    } finally {
      await heal(lab, "compute1");
    }
    await until("told afterwards", 40, async () =>
      (await events(stack)).some(
        (event) => event.n > before && event.type === "resource.repaired" && event.host === "compute1",
      )
        ? true
        : null,
    );
    await green(stack, 60);
  });
});

describe("a host whose disk is full", () => {
  it("says so, changes nothing, holds up nobody, and goes on by itself when there is room", async () => {
    const text = readFileSync(stack.cloudFile, "utf8");
    const next = text.replace("servers: [", "servers: [192.0.2.55, ");
    expect(next).not.toBe(text);
    writeFileSync(stack.cloudFile, next);
    await fill(lab, "controller3", "/var");
    try {
      const ended = await stack.run(["apply", "aio", "--json"]);
      expect(ended.code).toBe(1);
      const result = applied(ended);
      const full = result.hosts.find(({ name }) => name === "controller3");
      expect(full).toMatchObject({ outcome: "failed", why: expect.stringContaining("no room") as string });
      expect(result.hosts.find(({ name }) => name === "controller1")?.outcome).toBe("changed");
      expect((await status(stack)).problems.map(({ host }) => host)).toContain("controller3");
    } finally {
      unfill(lab, "controller3", "/var");
    }
    await until("completed", 60, async () =>
      (await on(lab, "controller3", "cat", "/etc/chrony/chrony.conf")).includes("192.0.2.55") ? true : null,
    );
    await green(stack, 90);
    expect((await on(lab, "controller3", "find", "/etc", "/var/lib", "-name", "*.stackctl-tmp")).trim()).toBe(
      "",
    );
  });
});

describeAgentUpgrade({ lab: () => lab, stack: () => stack });

describe("what leaves the file", () => {
  it("leaves the hosts, and comes back with it", async () => {
    const text = readFileSync(stack.cloudFile, "utf8");
    writeFileSync(stack.cloudFile, text.replace(/proxy: http[^,} ]+/, "proxy: null"));
    expect(applied(await stack.run(["apply", "compute2", "--json"])).totals.failed).toBe(0);
    expect(
      await on(lab, "compute2", "sh", "-c", "ls /etc/apt/apt.conf.d /etc/apt/auth.conf.d"),
    ).not.toContain("stackctl");
    writeFileSync(stack.cloudFile, text);
    expect(applied(await stack.run(["apply", "compute2", "--json"])).totals.failed).toBe(0);
    expect(await on(lab, "compute2", "sh", "-c", "ls /etc/apt/apt.conf.d")).toContain("stackctl");
    await green(stack, 15);
  });
});

describe("bad input", () => {
  it("in the file is told with line and column, all at once, and nothing is touched", async () => {
    const broken = join(root, "tests/broken");
    const files = readdirSync(broken).filter((file) => file.endsWith(".yaml"));
    expect(files.length).toBeGreaterThanOrEqual(25);
    const text = readFileSync(stack.cloudFile, "utf8");
    const expected = JSON.parse(readFileSync(join(broken, "expected.json"), "utf8")) as Record<
      string,
      { line: number; column: number; message: string }[]
    >;
    try {
      for (const file of files) {
        writeFileSync(stack.cloudFile, readFileSync(join(broken, file)));
        const ended = await stack.run(["plan"]);
        expect(ended.code, file).toBe(1);
        for (const { line, column, message } of expected[file] ?? []) {
          expect(ended.stdout + ended.stderr, file).toContain(`cloud.yaml:${String(line)}:${String(column)}`);
          expect((ended.stdout + ended.stderr).replace(/\s+/g, " "), file).toContain(
            message.replace(/\s+/g, " "),
          );
        }
      }
    } finally {
      writeFileSync(stack.cloudFile, text);
    }
  });

  it("an unknown host, an unknown resource and a wrong word are told with what would be right", async () => {
    const host = await stack.run(["apply", "compute9"]);
    expect(host.code).toBe(1);
    expect(host.stderr).toContain("compute1");
    const resource = await stack.run(["why", "chrony/other@compute1"]);
    expect(resource.code).toBe(1);
    expect(resource.stderr).toContain("chrony/chrony");
    expect((await stack.run(["aply"])).code).toBe(2);
  });
});

describe("a host that is not as it should be", () => {
  /** Runs preflight with a changed file, and gives what it said. */
  const preflightWith = async (change: (text: string) => string): Promise<string> => {
    const text = readFileSync(stack.cloudFile, "utf8");
    const changed = change(text);
    expect(changed).not.toBe(text);
    writeFileSync(stack.cloudFile, changed);
    try {
      const ended = await stack.run(["preflight"]);
      expect(ended.code, ended.stdout + ended.stderr).toBe(1);
      return ended.stdout;
    } finally {
      writeFileSync(stack.cloudFile, text);
    }
  };

  it("is told by preflight, once, with host and remedy", async () => {
    expect(await preflightWith((text) => text.replace("interface: eth2", "interface: eth7"))).toContain(
      "compute1: has no NIC eth7 for the data network",
    );
    expect(
      await preflightWith((text) => text.replace(/proxy: http:[^ ]+/, "proxy: http://test@10.30.0.1:3999")),
    ).toMatch(/compute1: .*proxy|compute1: .*not reached|compute1: .*refuses/);
    expect(await preflightWith((text) => text.replace("address: 10.30.0.14", "address: 10.30.0.77"))).toMatch(
      /compute1: .*10\.30\.0\.14, the file says 10\.30\.0\.77/,
    );
  });

  it("such as one that nobody answers for, or whose key is another, fails alone", async () => {
    const text = readFileSync(stack.cloudFile, "utf8");
    const wrongKey = join(folder, "wrong-key");
    if (!existsSync(wrongKey)) execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", wrongKey]);
    const stranger = stackIn(join(folder, "stranger"));
    mkdirSync(join(folder, "stranger"));
    try {
      // A second cloud's server, for hosts that it has never seen: a host that is off, a key that lets nobody in, a key that was changed.
      const port = "server: { address: 10.30.0.1, port: 4333 }\n";
      const own = (change: string): void => {
        writeFileSync(stranger.cloudFile, change + port);
      };
      own(text.replace(/proxy: http[^,} ]+/, "proxy: null"));
      const taken = await stranger.run(["preflight", "compute1"]);
      expect(taken.code, taken.stdout).toBe(1);
      expect(taken.stdout).toMatch(/compute1: .*another cloud/);
      own(
        text
          .replace(/proxy: http[^,} ]+/, "proxy: null")
          .replace(/privateKey: [^ ]+/, `privateKey: ${wrongKey}`),
      );
      const refused = await stranger.run(["preflight", "compute1"]);
      expect(refused.stdout).toContain("lets root not in");
      own(
        text
          .replace(/proxy: http[^,} ]+/, "proxy: null")
          .replace("address: 10.30.0.15 }", `address: 10.30.0.15, hostKey: "SHA256:${"A".repeat(43)}" }`),
      );
      const changed = await stranger.run(["preflight", "compute2"]);
      expect(changed.stdout).toContain("host key changed");
      // The file says what the key must be, so it is the file that may be wrong.
      expect(changed.stdout).toMatch(/if SHA256:\S+ is right [\s\S]*mend hostKey in\s+cloud\.yaml/);
      own(
        text
          .replace(/proxy: http[^,} ]+/, "proxy: null")
          .replace("address: 10.30.0.15", "address: 10.30.0.99"),
      );
      const off = await stranger.run(["preflight", "compute2"]);
      expect(off.stdout).toMatch(/compute2 \(10\.30\.0\.99:22\) (has no route|does not answer)/);
    } finally {
      await stranger.run(["server", "stop"]);
    }
  });
});

describe("the proxy's password", () => {
  it("is nowhere but in apt's own file", async () => {
    if (lab.proxy === null) throw new Error("this lab has no proxy");
    const password = readFileSync(lab.proxy.passwordFile, "utf8").trim();
    const needles = [
      password,
      Buffer.from(password).toString("base64").replace(/=+$/, ""),
      Buffer.from(password).toString("hex"),
    ];
    const found: string[] = [];
    const look = (path: string): void => {
      for (const entry of readdirSync(path, { withFileTypes: true })) {
        const inner = join(path, entry.name);
        if (entry.isDirectory()) look(inner);
        else if (entry.isFile() && statSync(inner).size < 50_000_000) {
          const bytes = readFileSync(inner);
          for (const needle of needles) if (bytes.includes(needle)) found.push(inner);
        }
      }
    };
    look(stack.home);
    expect(found).toEqual([]);
    const everything = (
      await Promise.all(
        [["events", "--limit", "500"], ["plan"], ["status"], ["drift"]].map((args) => stack.run(args)),
      )
    ).map(({ stdout, stderr }) => stdout + stderr);
    for (const needle of needles) expect(everything.join("\n").includes(needle)).toBe(false);
    const onHost = await on(
      lab,
      "compute1",
      "sh",
      "-c",
      `grep -rlF -e "$0" -e "$1" -e "$2" /etc /var/lib/stackctl-agent /var/log /opt/stackctl/current/agent.cjs 2>/dev/null; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -vF /etc | grep -cF -e "$3" || true`,
      ...needles,
      "no-such-text",
    );
    expect(
      onHost
        .trim()
        .split("\n")
        .filter((line) => line.startsWith("/")),
    ).toEqual(["/etc/apt/auth.conf.d/90stackctl-proxy.conf"]);
    expect(
      (await on(lab, "compute1", "stat", "-c", "%a %U", "/etc/apt/auth.conf.d/90stackctl-proxy.conf")).trim(),
    ).toBe("600 root");
  });
});
