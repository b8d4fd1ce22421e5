import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { makeCgroups } from "./cgroup.ts";
import { output, run } from "./command.ts";
import { takeDown } from "./down.ts";
import { makeHost } from "./host.ts";
import { setPower, wantedPower } from "./keeper.ts";
import {
  address,
  bridgeName,
  labName,
  labNames,
  labsFolder,
  networkNames,
  overlaps,
  readLab,
  type Lab,
  type LabHost,
} from "./lab.ts";
import { raiseLimits } from "./limits.ts";
import { locked } from "./lock.ts";
import { hasLink, labsThatAreUp, makeNetworks } from "./network.ts";
import { startKeeper, waitForSsh } from "./power.ts";
import { makePassword, mirrorPort, proxyPort, tendSquid } from "./proxy.ts";
import { rootFileSystem } from "./rootfs.ts";
import { startTime } from "./time.ts";

/** What a lab is asked to be. */
export interface LabWish {
  readonly name: string;
  readonly controllers: number;
  readonly computes: number;
  readonly management: string;
  readonly public: string;
  readonly data: string;
  /** Names of the three NICs inside the hosts. */
  readonly nics: readonly [string, string, string];
  readonly user: string;
  readonly sshPort: number;
  readonly proxy: boolean;
  /** Limit of each host. */
  readonly memoryMiB: number;
  /** Take down what is there and begin with bare hosts. */
  readonly fresh: boolean;
}

/** What five idle hosts and what runs on them need at least, MiB. */
const memoryPerHostMiB = 300;

/** Packages of this machine that the lab is made with, by the command that shows that they are there. */
const tools: Readonly<Record<string, string>> = {
  "/usr/sbin/squid": "squid",
  "/usr/sbin/debootstrap": "debootstrap",
  "/usr/bin/systemd-nspawn": "systemd-container",
  "/usr/sbin/nft": "nftables",
  "/usr/sbin/chronyd": "chrony",
  "/usr/sbin/ethtool": "ethtool",
  "/usr/bin/openssl": "openssl",
  "/usr/bin/ssh-keygen": "openssh-client",
  // Not for the lab: the integration tests log in to one of their own on loopback.
  "/usr/sbin/sshd": "openssh-server",
  "/usr/bin/ip": "iproute2",
  "/usr/bin/pgrep": "procps",
  "/usr/sbin/mkfs.ext4": "e2fsprogs",
};

/**
 * Makes the lab, or brings up what is missing of it, and returns once every host's sshd answers. Repeatable after any kill.
 * @throws Error when a lab of that name has other settings, a network is taken, or memory is short
 */
export async function up(wish: LabWish, say: (text: string) => void): Promise<Lab> {
  const lab = labOf(wish);
  await locked("machine", `up of lab ${lab.name}`, say, async () => {
    if (!wish.fresh) assertSame(lab);
    assertFree(lab);
    if (wish.fresh) await takeDown(lab.name, say);
    await installTools(say);
    raiseLimits(say);
    await make(lab, say);
  });
  await Promise.all(
    lab.hosts.map(async ({ name }) => {
      await waitForSsh(lab, name, 120_000);
      say(`${name} is up`);
    }),
  );
  return lab;
}

async function make(lab: Lab, say: (text: string) => void): Promise<void> {
  mkdirSync(join(lab.directory, "hosts"), { recursive: true, mode: 0o700 });
  // Before all else that is made: `down` finds by it what there may be.
  const file = join(lab.directory, "lab.json");
  writeFileSync(`${file}.new`, JSON.stringify(lab, null, 2));
  renameSync(`${file}.new`, file);
  await makeKey(lab);
  if (lab.proxy !== null) makePassword(lab.proxy.passwordFile);

  say("networks");
  await makeNetworks(lab);
  await tendSquid(labsThatAreUp());
  await startTime(lab);
  const rootfs = await rootFileSystem(`http://127.0.0.1:${String(proxyPort)}`, say);
  say(`starting ${String(lab.hosts.length)} hosts`);
  await Promise.all(
    lab.hosts.map(async (host) => {
      await makeHost(lab, host, rootfs);
      makeCgroups(lab, host.name);
      if (wantedPower(lab, host.name) === "off") setPower(lab, host.name, "on");
    }),
  );
  startKeeper(lab);
}

/** The key that opens every host of the lab. */
async function makeKey(lab: Lab): Promise<void> {
  const { privateKey } = lab.ssh;
  if (existsSync(privateKey)) return;
  const fresh = `${privateKey}.new`;
  rmSync(fresh, { force: true });
  rmSync(`${fresh}.pub`, { force: true });
  await output("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", `lab ${lab.name}`, "-f", fresh]);
  renameSync(`${fresh}.pub`, `${privateKey}.pub`);
  renameSync(fresh, privateKey);
}

/** A lab as a wish describes it. */
export function labOf(wish: LabWish): Lab {
  const directory = join(labsFolder, labName(wish.name));
  if (!/^[a-z][a-z0-9-]{0,30}$/.test(wish.user))
    throw new Error(`${wish.user} is no name for a user; take small letters, digits and -`);
  if (new Set([...wish.nics, "lo"]).size !== 4)
    throw new Error(`three different NICs are needed, none of them lo; ${wish.nics.join(",")} are not`);
  if (wish.controllers + wish.computes === 0) throw new Error("a lab without hosts is none");
  for (const [a, b] of [
    [wish.management, wish.public],
    [wish.management, wish.data],
    [wish.public, wish.data],
  ] as const)
    if (overlaps(a, b))
      throw new Error(`the networks of a lab are three different ones; ${a} and ${b} overlap`);
  const cidrs = { management: wish.management, public: wish.public, data: wish.data };
  const [management, outside, data] = wish.nics;
  const nics = { management, public: outside, data };
  const names = [
    ...Array.from({ length: wish.controllers }, (_, index) => `controller${String(index + 1)}`),
    ...Array.from({ length: wish.computes }, (_, index) => `compute${String(index + 1)}`),
  ];
  const hosts = names.map((name, index): LabHost => ({
    name,
    role: name.startsWith("controller") ? "controller" : "compute",
    management: address(cidrs.management, 11 + index),
    public: address(cidrs.public, 11 + index),
    data: address(cidrs.data, 11 + index),
  }));
  const gateway = address(cidrs.management, 1);
  const mirror = `http://${gateway}:${String(mirrorPort)}/debian`;
  return {
    name: wish.name,
    directory,
    hosts,
    networks: {
      management: { cidr: cidrs.management, interface: nics.management, gateway },
      public: { cidr: cidrs.public, interface: nics.public, gateway: address(cidrs.public, 1) },
      data: { cidr: cidrs.data, interface: nics.data, gateway: address(cidrs.data, 1) },
    },
    ssh: { user: wish.user, port: wish.sshPort, privateKey: join(directory, "id_ed25519") },
    proxy: wish.proxy
      ? {
          url: `http://${gateway}:${String(proxyPort)}`,
          user: wish.name,
          passwordFile: join(directory, "proxy-password"),
        }
      : null,
    mirror: wish.proxy ? null : mirror,
    securityMirror: wish.proxy ? null : `${mirror}-security`,
    timeServer: gateway,
    memoryMiB: wish.memoryMiB,
  };
}

/** @throws Error when a lab of that name is there and is not this one */
function assertSame(lab: Lab): void {
  if (!labNames().includes(lab.name)) return;
  if (JSON.stringify(readLab(lab.name)) === JSON.stringify(lab)) return;
  throw new Error(
    `lab ${lab.name} is there with other settings; take it down first: stackctl lab down --name ${lab.name}`,
  );
}

/** @throws Error when another lab that is up, or this machine, has one of the networks, or memory is short */
function assertFree(lab: Lab): void {
  const ours = networkNames.map((network) => bridgeName(lab.name, network));
  for (const other of labsThatAreUp()) {
    if (other.name === lab.name) continue;
    for (const network of networkNames) {
      const { cidr } = lab.networks[network];
      if (!networkNames.some((theirs) => overlaps(other.networks[theirs].cidr, cidr))) continue;
      throw new Error(
        `${cidr} belongs to lab ${other.name}, which is up; give another --${network}, or: stackctl lab down --name ${other.name}`,
      );
    }
  }
  for (const [name, addresses = []] of Object.entries(networkInterfaces())) {
    if (ours.includes(name)) continue;
    for (const network of networkNames) {
      const { cidr } = lab.networks[network];
      const taken = addresses.find((each) => each.family === "IPv4" && overlaps(`${each.address}/32`, cidr));
      if (taken === undefined) continue;
      throw new Error(
        `${cidr} has this machine's own ${taken.address} (${name}) in it; give another --${network}`,
      );
    }
  }
  if (hasLink(bridgeName(lab.name, "management"))) return;
  const available = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1];
  const freeMiB = Math.floor(Number(available) / 1024);
  const neededMiB = lab.hosts.length * memoryPerHostMiB + 1024;
  if (freeMiB < neededMiB) {
    throw new Error(
      `${String(freeMiB)} MiB of memory are free, lab ${lab.name} needs ${String(neededMiB)} MiB; what is up: stackctl lab status`,
    );
  }
}

const policy = "/usr/sbin/policy-rc.d";
const policyText =
  "#!/bin/sh\n# From stackctl lab: its own squid and chronyd are wanted, not the distribution's.\nexit 101\n";

/** Sees to it that this machine has what the lab, and the tests on this machine's own sshd, are made with. */
export async function needTools(say: (text: string) => void): Promise<void> {
  await locked("machine", "tools", say, () => installTools(say));
}

async function installTools(say: (text: string) => void): Promise<void> {
  // Left by a kill in the middle of what follows; it would keep every service of this machine from starting.
  if (existsSync(policy) && readFileSync(policy, "utf8") === policyText) rmSync(policy);
  const missing = Object.entries(tools).filter(([path]) => !existsSync(path));
  if (missing.length === 0) return;
  const packages = missing.map(([, name]) => name);
  say(`installing ${packages.join(", ")} on this machine`);
  const ours = !existsSync(policy);
  if (ours) writeFileSync(policy, policyText, { mode: 0o755 });
  try {
    // Killed half way, dpkg would want repair by hand.
    const lock = ["-o", "DPkg::Lock::Timeout=120"];
    await output("apt-get", ["update", "-q", ...lock], { timeoutMs: 300_000, outlives: true });
    await output(
      "env",
      [
        "DEBIAN_FRONTEND=noninteractive",
        ...["apt-get", "install", "-y", "-q", "--no-install-recommends", ...lock, ...packages],
      ],
      { timeoutMs: 600_000, outlives: true },
    );
    // Nor at the next boot.
    if (packages.includes("squid")) await run("systemctl", ["disable", "squid.service"]);
  } finally {
    if (ours) rmSync(policy, { force: true });
  }
}
