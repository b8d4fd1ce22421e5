import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
  isMissing,
  processesWith,
  readProc,
  run,
  type Ended,
  type ProcessMark,
  type RunOptions,
} from "./command.ts";

/** Where every lab keeps its state, by name. */
export const labsFolder = "/var/lib/stackctl-lab";
/** What is slow to make and survives `lab down`. */
export const cacheFolder = "/var/cache/stackctl";

export const networkNames = ["management", "public", "data"] as const;
export type NetworkName = (typeof networkNames)[number];

/** One of the lab's hosts, with its address on each network. */
export interface LabHost {
  readonly name: string;
  readonly role: "controller" | "compute";
  readonly management: string;
  readonly public: string;
  readonly data: string;
}

/** A lab as `lab.json` describes it. */
export interface Lab {
  readonly name: string;
  readonly directory: string;
  readonly hosts: readonly LabHost[];
  /** `gateway` is this machine's address on the network. */
  readonly networks: Readonly<
    Record<NetworkName, { readonly cidr: string; readonly interface: string; readonly gateway: string }>
  >;
  readonly ssh: { readonly user: string; readonly port: number; readonly privateKey: string };
  /** The only way to packages; null in a lab without proxy. */
  readonly proxy: { readonly url: string; readonly user: string; readonly passwordFile: string } | null;
  /** A plain mirror; null in a lab with proxy. */
  readonly mirror: string | null;
  readonly securityMirror: string | null;
  readonly timeServer: string;
  readonly memoryMiB: number;
}

/** The labs that exist on this machine, up or not, or half made. */
export function labNames(): string[] {
  if (!existsSync(labsFolder)) return [];
  return readdirSync(labsFolder).filter((name) => existsSync(join(labsFolder, name, "lab.json")));
}

/**
 * The name, when a lab can have it: it becomes part of paths and of names in the kernel.
 * @throws Error when it cannot
 */
export function labName(name: string): string {
  if (/^[a-z][a-z0-9-]{0,15}$/.test(name)) return name;
  throw new Error(`${name} is no name for a lab; take small letters, digits and -, at most 16`);
}

/** @throws Error when there is no such lab, with what to type */
export function readLab(name: string): Lab {
  labName(name);
  try {
    return JSON.parse(readFileSync(join(labsFolder, name, "lab.json"), "utf8")) as Lab;
  } catch (error) {
    if (isMissing(error))
      throw new Error(`there is no lab ${name}; make it with: stackctl lab up --name ${name}`, {
        cause: error,
      });
    throw error;
  }
}

/** @throws Error naming the hosts that there are */
export function hostOf(lab: Lab, name: string): LabHost {
  const host = lab.hosts.find((each) => each.name === name);
  if (host === undefined)
    throw new Error(
      `lab ${lab.name} has no host ${name}; it has ${lab.hosts.map((each) => each.name).join(", ")}`,
    );
  return host;
}

/** Files and folders of one host. */
export function hostPaths(
  lab: Pick<Lab, "directory">,
  host: string,
): {
  folder: string;
  image: string;
  disk: string;
  root: string;
  power: string;
  log: string;
} {
  const folder = join(lab.directory, "hosts", host);
  return {
    folder,
    image: join(folder, "disk.img"),
    disk: join(folder, "disk"),
    root: join(folder, "root"),
    power: join(folder, "power"),
    log: join(folder, "console.log"),
  };
}

/** A short mark of the lab's name: interface names have at most 15 characters. */
export function mark(name: string): string {
  return createHash("sha256").update(name).digest("hex").slice(0, 6);
}

/** The bridge of a network. */
export function bridgeName(lab: string, network: NetworkName): string {
  return `lb${mark(lab)}${network.slice(0, 1)}`;
}

/** The machine's end of a host's link; `index` is the host's place in the lab. */
export function linkName(lab: string, index: number, network: NetworkName): string {
  return `lv${mark(lab)}${String(index)}${network.slice(0, 1)}`;
}

/** The network namespace of a host. */
export function namespaceName(lab: string, host: string): string {
  return `lab-${lab}-${host}`;
}

/**
 * The n-th address of a network such as `10.10.0.0/24`.
 * @throws Error when that is no network, or has no room for that many hosts
 */
export function address(cidr: string, n: number): string {
  const { first, last } = rangeOf(cidr);
  if (n >= last - first)
    throw new Error(`${cidr} is no network that holds this lab; give one such as 10.10.0.0/24`);
  return dotted(first + n);
}

/** True when two networks share an address. */
export function overlaps(a: string, b: string): boolean {
  const [one, other] = [rangeOf(a), rangeOf(b)];
  return one.first <= other.last && other.first <= one.last;
}

function rangeOf(cidr: string): { first: number; last: number } {
  const [text = "", bits = ""] = cidr.split("/");
  const first = text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(bits));
  const right =
    /^(\d{1,3}\.){3}\d{1,3}\/\d{1,2}$/.test(cidr) &&
    text.split(".").every((part) => Number(part) < 256) &&
    Number(bits) >= 8 &&
    Number(bits) <= 32;
  if (!right) throw new Error(`${cidr} is no network that holds this lab; give one such as 10.10.0.0/24`);
  if (first % size !== 0)
    throw new Error(
      `${cidr} is no network but an address in one; it would be ${dotted(first - (first % size))}/${bits}`,
    );
  return { first, last: first + size - 1 };
}

function dotted(value: number): string {
  return [24, 16, 8, 0].map((shift) => String(Math.floor(value / 2 ** shift) % 256)).join(".");
}

/** The processes of this machine that start or hold a host's container; none when the host is off. */
export function containerMarks(lab: Lab, host: string): ProcessMark[] {
  const wanted = `--machine=${machineName(lab.name, host)}`;
  return processesWith((argv) => (argv[0] === "systemd-nspawn" || argv[0] === "sh") && argv.includes(wanted));
}

/** The process that is PID 1 inside a host, as this machine numbers it; null when the host is off or only starting. */
export function initPid(lab: Lab, host: string): number | null {
  for (const { pid } of containerMarks(lab, host)) {
    for (const child of readProc(`${String(pid)}/task/${String(pid)}/children`)
      .trim()
      .split(" ")) {
      // nspawn's first child still has this machine's root: to enter it would be to work on the machine itself.
      if (child !== "" && /^NSpid:\t\d+\t1$/m.test(readProc(`${child}/status`))) return Number(child);
    }
  }
  return null;
}

/** The name of a host's container: unique over all labs. */
export function machineName(lab: string, host: string): string {
  return `${lab}-${host}`;
}

/**
 * Runs a command inside a host, as root, with the host's own view of everything; code is null when the host is off.
 * Not over ssh, so it also works on a host whose network is cut.
 */
export async function runOn(
  lab: Lab,
  host: string,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<Ended> {
  hostOf(lab, host);
  const pid = initPid(lab, host);
  if (pid === null) return { code: null, stdout: "", stderr: `${host} is off` };
  const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  const inside = [
    "--target",
    String(pid),
    "--mount",
    "--uts",
    "--ipc",
    "--net",
    "--pid",
    "--cgroup",
    "--root",
    "--wd",
    "--",
  ];
  return run(
    "nsenter",
    [...inside, "/usr/bin/env", "-i", path, "LC_ALL=C.UTF-8", "HOME=/root", ...argv],
    options,
  );
}
