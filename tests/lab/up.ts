import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeCgroups } from "./cgroup.ts";
import { output, run } from "./command.ts";
import { down } from "./down.ts";
import { makeHost } from "./host.ts";
import {
  address,
  bridgeName,
  labNames,
  labsFolder,
  networkNames,
  readLab,
  type Lab,
  type LabHost,
} from "./lab.ts";
import { hasLink, makeNetworks } from "./network.ts";
import { startKeeper, waitForSsh } from "./power.ts";
import { setPower, wantedPower } from "./keeper.ts";
import { rootFileSystem } from "./rootfs.ts";
import { labsThatAreUp, makePassword, mirrorPort, proxyPort, startTime, tendSquid } from "./services.ts";

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
  "/usr/bin/htpasswd": "apache2-utils",
  "/usr/sbin/ethtool": "ethtool",
  "/usr/bin/openssl": "openssl",
  "/usr/bin/ssh-keygen": "openssh-client",
};

/** Makes the lab, or brings up what is missing of it, and returns once every host's sshd answers. Repeatable after any kill. */
export async function up(wish: LabWish, say: (text: string) => void): Promise<Lab> {
  const lab = labOf(wish);
  if (wish.fresh && labNames().includes(wish.name)) await down(readLab(wish.name), say);
  if (labNames().includes(wish.name)) {
    const there = readLab(wish.name);
    if (JSON.stringify(there) !== JSON.stringify(lab)) {
      throw new Error(
        `lab ${wish.name} is there with other settings; take it down first: stackctl lab down --name ${wish.name}`,
      );
    }
  }
  assertFree(lab);
  await installTools(say);
  mkdirSync(join(lab.directory, "hosts"), { recursive: true, mode: 0o700 });
  if (!existsSync(lab.ssh.privateKey)) {
    await output("ssh-keygen", [
      "-q",
      "-t",
      "ed25519",
      "-N",
      "",
      "-C",
      `lab ${lab.name}`,
      "-f",
      lab.ssh.privateKey,
    ]);
  }
  if (lab.proxy !== null) await makePassword(lab.proxy.passwordFile);
  const file = join(lab.directory, "lab.json");
  writeFileSync(`${file}.new`, JSON.stringify(lab, null, 2));
  renameSync(`${file}.new`, file);

  // Every host's systemd and agent takes some of what this one kernel gives to root; its default is for one host.
  const instances = "/proc/sys/fs/inotify/max_user_instances";
  if (Number(readFileSync(instances, "utf8")) < 2048) writeFileSync(instances, "2048");
  say("networks");
  await makeNetworks(lab);
  await tendSquid(labsThatAreUp(isUp), false);
  await startTime(lab);
  const rootfs = await rootFileSystem(`http://127.0.0.1:${String(proxyPort)}`, say);
  say("hosts");
  for (const host of lab.hosts) {
    await makeHost(lab, host, rootfs);
    makeCgroups(lab, host.name);
    if (wantedPower(lab, host.name) === "off") setPower(lab, host.name, "on");
  }
  startKeeper(lab);
  await Promise.all(
    lab.hosts.map(async ({ name }) => {
      await waitForSsh(lab, name, 120_000);
      say(`${name} is up`);
    }),
  );
  return lab;
}

/** True while the lab's bridges are there. */
function isUp(lab: Lab): boolean {
  return hasLink(bridgeName(lab.name, "management"));
}

/** A lab as a wish describes it. */
export function labOf(wish: LabWish): Lab {
  const directory = join(labsFolder, wish.name);
  if (!/^[a-z][a-z0-9-]{0,15}$/.test(wish.name))
    throw new Error(`${wish.name} is no name for a lab; take small letters, digits and -, at most 16`);
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

/** @throws Error when another lab that is up has one of the networks, or memory is short */
function assertFree(lab: Lab): void {
  for (const other of labsThatAreUp(isUp)) {
    if (other.name === lab.name) continue;
    for (const network of networkNames) {
      for (const theirs of networkNames) {
        if (other.networks[theirs].cidr !== lab.networks[network].cidr) continue;
        throw new Error(
          `${lab.networks[network].cidr} belongs to lab ${other.name}, which is up; give another --${network}, or: stackctl lab down --name ${other.name}`,
        );
      }
    }
  }
  if (isUp(lab)) return;
  const available = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1];
  const freeMiB = Math.floor(Number(available) / 1024);
  const neededMiB = lab.hosts.length * memoryPerHostMiB + 1024;
  if (freeMiB < neededMiB) {
    throw new Error(
      `${String(freeMiB)} MiB of memory are free, this lab needs ${String(neededMiB)} MiB; take another lab down: stackctl lab down --all`,
    );
  }
}

async function installTools(say: (text: string) => void): Promise<void> {
  const missing = Object.entries(tools).filter(([path]) => !existsSync(path));
  if (missing.length === 0) return;
  const packages = missing.map(([, name]) => name);
  say(`installing ${packages.join(", ")} on this machine`);
  // The services that these packages would start are not wanted: the lab runs its own.
  const policy = "/usr/sbin/policy-rc.d";
  const ours = !existsSync(policy);
  if (ours) writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    await output("apt-get", ["update", "-q"], { timeoutMs: 300_000 });
    await output(
      "env",
      [
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "install",
        "-y",
        "-q",
        "--no-install-recommends",
        ...packages,
      ],
      { timeoutMs: 600_000 },
    );
  } finally {
    if (ours) await run("rm", ["-f", policy]);
  }
}
