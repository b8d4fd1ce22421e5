import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { cut, cutsOf, heal } from "./cut.ts";
import { down } from "./down.ts";
import { fill, unfill } from "./fill.ts";
import {
  hostOf,
  initPid,
  labNames,
  labsFolder,
  networkNames,
  readLab,
  type Lab,
  type NetworkName,
} from "./lab.ts";
import { keeperMarks, powerOff, powerOn, reboot } from "./power.ts";
import { up } from "./up.ts";

const begun = performance.now();
// Whoever reads the output may have seen enough, such as `head`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit();
  throw error;
});

/** One line per change, with the seconds since the start. */
function say(text: string): void {
  console.log(`${((performance.now() - begun) / 1000).toFixed(1).padStart(6)} s  ${text}`);
}

/** A parser of whole numbers in a range. */
function number(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(
        `a whole number from ${String(least)} to ${String(most)} is needed, not ${text}`,
      );
    return value;
  };
}

function nicNames(text: string): [string, string, string] {
  const [a, b, c, ...rest] = text.split(",");
  const good = [a, b, c].every((name) => name !== undefined && /^[a-z][a-z0-9]{0,14}$/.test(name));
  if (!good || rest.length > 0 || a === undefined || b === undefined || c === undefined) {
    throw new InvalidArgumentError("three names are needed, such as eth0,eth1,eth2");
  }
  return [a, b, c];
}

function network(text: string): NetworkName {
  const found = networkNames.find((name) => name === text);
  if (found === undefined) throw new InvalidArgumentError(`the networks are ${networkNames.join(", ")}`);
  return found;
}

interface Named {
  readonly name: string;
}

const program = new Command("stackctl lab").description("Five real Debian hosts on this machine");

/** A command about a lab that exists. */
function command(usage: string, text: string): Command {
  return program.command(usage).description(text).option("--name <lab>", "which lab", "demo");
}

program
  .command("up")
  .description("make a lab, or bring up what is missing of it")
  .option("--name <lab>", "which lab", "demo")
  .option("--controllers <n>", "number of controllers", number(0, 9), 3)
  .option("--computes <n>", "number of computes", number(0, 99), 2)
  .option("--management <cidr>", "management network", "10.10.0.0/24")
  .option("--public <cidr>", "public network", "192.168.2.0/24")
  .option("--data <cidr>", "data network", "10.10.1.0/24")
  .option("--nics <a,b,c>", "names of the NICs", nicNames, ["eth0", "eth1", "eth2"] as [
    string,
    string,
    string,
  ])
  .option("--user <user>", "who logs in over ssh; another than root gets sudo", "root")
  .option("--ssh-port <port>", "sshd's port", number(1, 65_535), 22)
  .option("--no-proxy", "packages from a plain mirror instead of a proxy")
  .option("--memory <MiB>", "memory limit of each host", number(256, 1_048_576), 6144)
  .option("--fresh", "take down what is there first", false)
  .action(async (options: Omit<Parameters<typeof up>[0], "memoryMiB"> & { memory: number }) => {
    const { memory, ...wish } = options;
    const lab = await up({ ...wish, memoryMiB: memory }, say);
    say(`lab ${lab.name} is up: ${lab.hosts.map((host) => `${host.name} ${host.management}`).join(", ")}`);
  });

program
  .command("down")
  .description("take a lab away, with everything that it put on this machine")
  .option("--name <lab>", "which lab", "demo")
  .option("--all", "every lab", false)
  .action(async ({ name, all }: { name: string; all: boolean }) => {
    // Folders, not labs: one that was killed at its very first step is no lab yet.
    const names = all ? (existsSync(labsFolder) ? readdirSync(labsFolder) : []) : [name];
    let gone = 0;
    for (const each of names) {
      if (!(await down(each, say))) continue;
      say(`lab ${each} is gone`);
      gone++;
    }
    if (gone === 0) say(all ? "there was no lab" : `there was no lab ${name}`);
  });

program
  .command("status")
  .description("which hosts are on, and what is cut")
  .option("--name <lab>", "only this lab")
  .action(async ({ name: only }: { name?: string }) => {
    const names = only === undefined ? labNames() : [readLab(only).name];
    if (names.length === 0) console.log("no lab; make one with: stackctl lab up");
    for (const name of names) {
      const lab = readLab(name);
      const kept = keeperMarks(lab).length > 0;
      console.log(
        `${name}  ${kept ? "up" : `NOT UP, nothing starts its hosts: stackctl lab up --name ${name}`}`,
      );
      for (const host of lab.hosts) {
        const cuts = await cutsOf(lab, host.name);
        const power = initPid(lab, host.name) === null ? "OFF" : "on ";
        const cutOff = cuts.length === 0 ? "" : `  CUT off ${cuts.join(", ")}`;
        console.log(`  ${host.name.padEnd(12)} ${power}  ${host.management}${cutOff}`);
      }
    }
  });

command("ssh <host> [argv...]", "log in to a host, or run a command there")
  .passThroughOptions(false)
  .action((host: string, argv: string[], { name }: Named) => {
    const lab = readLab(name);
    const { management } = hostOf(lab, host);
    const options = [
      "-o",
      "StrictHostKeyChecking=no",
      "-o",
      `UserKnownHostsFile=${join(lab.directory, "known_hosts")}`,
      "-o",
      "LogLevel=ERROR",
    ];
    const { status } = spawnSync(
      "ssh",
      [
        "-i",
        lab.ssh.privateKey,
        "-p",
        String(lab.ssh.port),
        ...options,
        `${lab.ssh.user}@${management}`,
        ...argv,
      ],
      { stdio: "inherit" },
    );
    process.exitCode = status ?? 1;
  });

const one = (usage: string, text: string, work: (lab: Lab, host: string) => Promise<void> | void): void => {
  command(`${usage} <host>`, text).action(async (host: string, { name }: Named) => {
    await work(readLab(name), host);
    say(`${usage} ${host}: done`);
  });
};
one("reboot", "reboot a host the ordinary way and wait for it", reboot);
one("power-off", "cut a host's power", powerOff);
one("power-on", "press a host's button and wait for it", powerOn);

command("cut <host> [network]", "drop a host's packets on a network, or on all; its links stay up")
  .option("--one-way", "only what comes in", false)
  .action(async (host: string, which: string | undefined, { name, oneWay }: Named & { oneWay: boolean }) => {
    await cut(readLab(name), host, which === undefined ? [] : [network(which)], oneWay);
    say(`${host} is cut off ${which ?? "every network"}`);
  });
command("heal [host]", "take the cuts back, of one host or all").action(
  async (host: string | undefined, { name }: Named) => {
    const lab = readLab(name);
    for (const each of host === undefined ? lab.hosts.map((every) => every.name) : [host])
      await heal(lab, each);
    say("healed");
  },
);
command("fill <host> <path>", "fill a host's disk")
  .option("--free", "make room again", false)
  .action(async (host: string, path: string, { name, free }: Named & { free: boolean }) => {
    if (free) unfill(readLab(name), host, path);
    else await fill(readLab(name), host, path);
    say(`${host}: ${free ? "room again" : "full"}`);
  });

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
