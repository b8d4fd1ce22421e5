import type { Facts } from "./facts.ts";
import { factsMark, factsQuestions, type FactsQuestion } from "./questions.ts";

/** Facts from what the script printed. @throws Error when an answer is not what it should be */
export function parseFacts(output: string): Facts {
  const sections = output.split(`${factsMark}\n`);
  const answer = (question: FactsQuestion): string =>
    (sections[factsQuestions.indexOf(question)] ?? "").trim();
  const release = answer("release");
  const field = (name: string): string => new RegExp(`^${name}="?([^"\n]*)"?$`, "m").exec(release)?.[1] ?? "";
  const df = answer("disk").split("\n").at(-1)?.split(/\s+/) ?? [];
  const containers = containersOf(answer("containers"));
  return {
    hostname: answer("hostname"),
    bootId: answer("bootId"),
    os: { id: field("ID"), version: field("VERSION_ID") },
    architecture: answer("architecture"),
    cores: number(answer("cores"), "nproc"),
    memoryMiB: Math.floor(number(/^MemTotal:\s+(\d+)/m.exec(answer("memory"))?.[1], "MemTotal") / 1024),
    disk: { totalMiB: number(df[1], "size of /var/lib"), freeMiB: number(df[3], "room in /var/lib") },
    disks: disksOf(answer("disks")),
    nics: nicsOf(answer("links"), answer("addresses"), answer("speeds")),
    timeMs: number(answer("time"), "date"),
    time: timeOf(answer("clock")),
    unresolved: words(answer("names")),
    listeners: listenersOf(answer("listeners"), containers),
    leftovers: leftoversOf(answer("packages"), answer("units"), answer("files"), containers),
    agentOf: answer("agent") === "" ? null : answer("agent"),
    kvm: kvmOf(words(answer("kvm"))),
  };
}

function number(text: string | undefined, what: string): number {
  const value = Number(text);
  if (text === undefined || text === "" || !Number.isFinite(value))
    throw new Error(`${what} is no number: ${String(text)}`);
  return value;
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line.trim() !== "");
}

interface BlockDevice {
  readonly name: string;
  readonly type: string;
  readonly size: number;
  readonly ro: boolean;
  readonly fstype: string | null;
  readonly mountpoint: string | null;
  readonly children?: readonly unknown[];
}

/** lsblk(8) of util-linux 2.38, `-bJ`. */
function disksOf(text: string): Facts["disks"] {
  if (text === "") return [];
  const { blockdevices } = JSON.parse(text) as { blockdevices: readonly BlockDevice[] };
  return blockdevices
    .filter(({ type, ro, size, name }) => type === "disk" && !ro && size > 0 && !/^(zram|nbd|ram)/.test(name))
    .map(({ name, size, fstype, mountpoint, children = [] }) => ({
      name,
      sizeMiB: Math.floor(size / 1_048_576),
      empty: fstype === null && mountpoint === null && children.length === 0,
    }));
}

/** ip-link(8) and ip-address(8) with `-o`; speeds by hardware address, for /sys may be of another network stack. */
function nicsOf(links: string, addresses: string, speeds: string): Facts["nics"] {
  const inSys = (name: string, file: string): string | null => {
    const path = `/sys/class/net/${name}/${file}:`;
    return (
      lines(speeds)
        .find((line) => line.startsWith(path))
        ?.slice(path.length) ?? null
    );
  };
  const ofLink = (name: string): string[] =>
    lines(addresses)
      .map((line) => line.trim().split(/\s+/))
      .filter((row) => row[1] === name && row[2] === "inet")
      .map((row) => row[3]?.split("/")[0] ?? "");
  return lines(links).flatMap((line) => {
    const [, name, mtu, state] = /^\d+: ([^:@]+)[@:].* mtu (\d+) .*state (\S+)/.exec(line) ?? [];
    if (name === undefined || name === "lo") return [];
    const hardware = /link\/ether ([0-9a-f:]{17})/.exec(line)?.[1];
    const speed =
      hardware !== undefined && inSys(name, "address") === hardware ? Number(inSys(name, "speed")) : 0;
    return [
      {
        name,
        addresses: ofLink(name),
        up: state === "UP",
        mtu: Number(mtu),
        speedMbps: Number.isInteger(speed) && speed > 0 ? speed : null,
      },
    ];
  });
}

const clients: Readonly<Record<string, NonNullable<Facts["time"]["client"]>>> = {
  chrony: "chrony",
  "systemd-timesyncd": "timesyncd",
  ntpsec: "ntpsec",
  ntp: "ntp",
  openntpd: "openntpd",
};

function timeOf(text: string): Facts["time"] {
  const client = clients[/^client (\S+)$/m.exec(text)?.[1] ?? ""] ?? null;
  const unknown = { client, synchronised: null, source: null, offsetMs: null };
  switch (client) {
    case "chrony": {
      // chronyc(1) 4.3, `-c tracking`: reference, its name, stratum, time, seconds that the clock is behind, ... , leap status.
      const row = lines(text)
        .map((line) => line.split(","))
        .find((cells) => cells.length >= 14);
      if (row === undefined) return unknown;
      const synchronised = row[13] !== "Not synchronised";
      const seconds = Number(row[4]);
      return {
        client,
        synchronised,
        source: synchronised ? (row[1] ?? null) : null,
        offsetMs: synchronised && Number.isFinite(seconds) ? round(-seconds * 1000) : null,
      };
    }
    case "timesyncd": {
      const synchronised = /^NTPSynchronized=(yes|no)$/m.exec(text)?.[1];
      const [, sign, size, unit] = /^\s*Offset: ([+-]?)([\d.]+)(us|ms|s)$/m.exec(text) ?? [];
      const scale = { us: 0.001, ms: 1, s: 1000 }[unit ?? ""] ?? 0;
      return {
        client,
        synchronised: synchronised === undefined ? null : synchronised === "yes",
        source: /^\s*Server: (\S+)/m.exec(text)?.[1] ?? null,
        // It tells what has to be added to the clock.
        offsetMs: size === undefined ? null : round(Number(size) * scale * (sign === "-" ? 1 : -1)),
      };
    }
    case "ntp":
    case "ntpsec": {
      // ntpq(8): the line of the peer that is followed begins with *; remote, refid, st, t, when, poll, reach, delay, offset, jitter.
      if (!/remote\s+refid/.test(text)) return unknown;
      const peer = lines(text)
        .find((line) => line.startsWith("*"))
        ?.slice(1)
        .trim()
        .split(/\s+/);
      return {
        client,
        synchronised: peer !== undefined,
        source: peer?.[0] ?? null,
        offsetMs: peer === undefined ? null : round(-Number(peer[8])),
      };
    }
    case "openntpd":
    case null:
      return unknown;
  }
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000 + 0;
}

interface Containers {
  /** False: there is no docker, or it does not answer. */
  readonly told: boolean;
  readonly all: readonly {
    readonly id: string;
    readonly name: string;
    readonly running: boolean;
    readonly ours: boolean;
    readonly kolla: boolean;
  }[];
}

function containersOf(text: string): Containers {
  const rows = lines(text);
  return {
    told: rows.at(-1) === "complete",
    all: rows.flatMap((row) => {
      const [, id, name, state, ours, kolla] =
        /^([0-9a-f]{64}) (\S+) (\S+) stackctl=(\S*) kolla=(\S*)$/.exec(row) ?? [];
      if (id === undefined || name === undefined) return [];
      return [{ id, name, running: state === "running", ours: ours !== "", kolla: kolla !== "" }];
    }),
  };
}

/** ss(8) of iproute2 6.1, `-Hltnp`: one line for each socket, with the processes that have it. */
function listenersOf(text: string, containers: Containers): Facts["listeners"] {
  const cgroups = new Map(
    [...text.matchAll(/^cgroup (\d+) (.*)$/gm)].map(([, pid = "", groups = ""]) => [pid, groups]),
  );
  return lines(text).flatMap((line) => {
    const local = line.trim().split(/\s+/)[3] ?? "";
    const [, address, port] = /^(.+):(\d+)$/.exec(local) ?? [];
    if (!line.startsWith("LISTEN") || address === undefined) return [];
    const [, process = "?", pid = ""] = /\(\("([^"]+)",pid=(\d+)/.exec(line) ?? [];
    const id = /docker[-/]([0-9a-f]{64})/.exec(cgroups.get(pid) ?? "")?.[1];
    const container = containers.all.find((each) => each.id === id);
    return [
      {
        port: Number(port),
        address,
        process,
        container: container?.name ?? null,
        ours: id === undefined ? false : containers.told ? container?.ours === true : null,
      },
    ];
  });
}

const ofPackage: Readonly<Record<string, string>> = {
  "docker-ce": "docker",
  "moby-engine": "docker",
  "containerd.io": "docker",
  "podman-docker": "docker",
  "salt-minion": "salt",
  puppet: "puppet",
  "puppet-agent": "puppet",
  chef: "chef",
  cfengine3: "cfengine",
  kubelet: "kubernetes",
  k3s: "kubernetes",
};
const ofFile: Readonly<Record<string, string>> = {
  "/etc/kolla": "kolla",
  "/usr/local/bin/dockerd": "docker",
  "/snap/bin/docker": "docker",
  "/usr/local/bin/k3s": "kubernetes",
  "/etc/rancher": "kubernetes",
  "/opt/puppetlabs/bin/puppet": "puppet",
  "/opt/saltstack/salt": "salt",
};
const ofUnit: readonly (readonly [RegExp, string])[] = [
  [/^salt-/, "salt"],
  [/^puppet/, "puppet"],
  [/^chef/, "chef"],
  [/^cfengine/, "cfengine"],
  [/^(kubelet|k3s|rke2)/, "kubernetes"],
  [/./, "openstack"],
];

/** Each tool once, with what was found of it; units that are active, and containers that run, make it a running one. */
function leftoversOf(
  packages: string,
  units: string,
  files: string,
  containers: Containers,
): Facts["leftovers"] {
  const found = new Map<string, { details: string[]; running: boolean }>();
  const note = (what: string, detail: string, running: boolean): void => {
    const before = found.get(what) ?? { details: [], running: false };
    found.set(what, { details: [...before.details, detail], running: before.running || running });
  };
  for (const line of lines(packages)) {
    // dpkg-query(1): wanted, status, error; only what is installed counts.
    const [, name, version] = /^.i. *(\S+) (\S+)$/.exec(line) ?? [];
    if (name !== undefined) note(ofPackage[name] ?? "openstack", `${name} ${version ?? ""}`, false);
  }
  for (const line of lines(units)) {
    const [unit = ""] = words(line);
    note(ofUnit.find(([pattern]) => pattern.test(unit))?.[1] ?? "openstack", unit, true);
  }
  for (const path of lines(files)) note(ofFile[path] ?? "openstack", path, false);
  for (const { name, kolla, ours, running } of containers.all)
    if (!ours) note(kolla ? "kolla" : "containers", `container ${name}`, running);
  return [...found].map(([what, { details, running }]) => ({
    what,
    detail:
      details.slice(0, 4).join(", ") + (details.length > 4 ? ` and ${String(details.length - 4)} more` : ""),
    running,
  }));
}

function kvmOf(said: readonly string[]): Facts["kvm"] {
  const extension = said.includes("vmx") ? "vmx" : said.includes("svm") ? "svm" : null;
  const nested = said.includes("nested") ? /^[Y1]/.test(said[said.indexOf("nested") + 1] ?? "") : null;
  const rest = { extension, nested, guest: said.includes("hypervisor") } as const;
  // The device must open, to be there is not enough.
  if (said.includes("opens")) return { usable: true, why: extension ?? "by /dev/kvm", ...rest };
  const why = said.includes("device")
    ? "/dev/kvm does not open"
    : extension === null
      ? rest.guest
        ? "this virtual machine is given no vmx or svm"
        : "vmx or svm is off in its firmware"
      : "there is no /dev/kvm";
  return { usable: false, why, ...rest };
}
