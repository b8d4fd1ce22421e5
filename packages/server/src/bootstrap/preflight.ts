import { isIP } from "node:net";
import { errorData, type Facts, type PreflightRow } from "@stackctl/protocol";
import { leftoverProblems } from "./leftovers.ts";
import { portProblems } from "./ports-taken.ts";
import { networkNames, type Cloud, type CloudHost } from "../config/model.ts";

/** Less memory than this and a host cannot hold its services (agent, docker and one service at the least). */
const leastMemoryMiB = 1500;
/** What a controller needs for all of the control plane. */
const controllerMemoryMiB = 3500;
/** Packages and images need this much; below the first they cannot even be unpacked. */
const leastDiskMiB = 3 * 1024;
const comfortableDiskMiB = 10 * 1024;
/** A clock that is off by more than this is worth a word; chrony puts it right. */
const clockSeconds = 30;

type Problem = PreflightRow["problems"][number];

/** A clock that is further than this from the server that it follows is not right yet. */
const offsetMs = 1000;
/** A NIC that is slower than this would slow every instance; older switches and bad cables fall back to it. */
const leastSpeedMbps = 1000;
/** The overlay of the instances' networks needs room in it; 1500 is Ethernet's own. */
const leastMtu = 1500;

/** What was found of a host, and when. */
export interface Look {
  readonly facts: Facts;
  /** Null: the packages were reached. */
  readonly packagesProblem: string | null;
  /** When the facts arrived. */
  readonly serverTimeMs: number;
  readonly via: PreflightRow["via"];
  /** This cloud's number, which an agent on the host may have. */
  readonly cluster: string;
}

/** A name that a host has to resolve. */
export interface NeededName {
  readonly name: string;
  /** What it names. */
  readonly what: string;
  /** The key of `cloud.yaml` that it stands in. */
  readonly key: string;
  readonly severity: Problem["severity"];
}

/** The names in `cloud.yaml` that this host itself resolves; with a proxy, that resolves the mirrors'. */
export function namesNeeded(host: CloudHost, { packages, registry, time }: Cloud): NeededName[] {
  const needed: NeededName[] = [];
  const need = (text: string | null, what: string, key: string, severity: Problem["severity"]): void => {
    if (text === null) return;
    const name = /^https?:/.test(text) ? new URL(text).hostname : text.replace(/:\d+$/, "");
    if (!isIP(name) && !needed.some((other) => other.name === name))
      needed.push({ name, what, key, severity });
  };
  if (packages.proxy === null) {
    need(packages.mirror, "the mirror", "packages.mirror", "error");
    need(packages.securityMirror, "the security mirror", "packages.securityMirror", "error");
  } else need(packages.proxy, "the proxy", "packages.proxy", "error");
  need(registry?.name ?? null, "the registry", "registry.name", "error");
  // The others follow the controllers, by address.
  if (host.role === "controller")
    for (const server of time.servers) need(server, "the time server", "time.servers", "warning");
  return needed;
}

/** Judges one host by what it is and what the cloud wants of it. Pure. */
export function judge(host: CloudHost, cloud: Cloud, look: Look): PreflightRow {
  const { facts, packagesProblem, serverTimeMs, via } = look;
  const problems: Problem[] = [];
  const error = (text: string, remedy: string): void => {
    problems.push({ severity: "error", text: `${host.name}: ${text}`, remedy });
  };
  const warning = (text: string, remedy: string): void => {
    problems.push({ severity: "warning", text: `${host.name}: ${text}`, remedy });
  };

  const os = `${facts.os.id} ${facts.os.version}`;
  if (os !== "debian 12") error(`${os} found, debian 12 needed`, `install Debian 12 on ${host.name}`);
  if (facts.architecture !== "x86_64")
    error(`${facts.architecture} found, x86_64 needed`, "use another machine");

  const wanted = networkNames.map((name) => ({ network: name, nic: cloud.networks[name].interface }));
  const missing = wanted.filter(({ nic }) => !facts.nics.some(({ name }) => name === nic));
  for (const { network, nic } of missing) {
    error(
      `has no NIC ${nic} for the ${network} network; it has ${facts.nics.map(({ name }) => name).join(", ")}`,
      `mend networks.${network}.interface in cloud.yaml`,
    );
  }
  const management = facts.nics.find(({ name }) => name === cloud.networks.management.interface);
  if (management !== undefined && !management.addresses.includes(host.addresses.management)) {
    error(
      `${management.name} has ${management.addresses.join(", ") || "no address"}, the file says ${host.addresses.management}`,
      `mend hosts.${host.name}.address in cloud.yaml, or the address on ${host.name}`,
    );
  }
  if (facts.memoryMiB < leastMemoryMiB) {
    error(
      `${String(facts.memoryMiB)} MiB of memory, at least ${String(leastMemoryMiB)} needed`,
      "give it more memory",
    );
  } else if (host.role === "controller" && facts.memoryMiB < controllerMemoryMiB) {
    warning(
      `${String(facts.memoryMiB)} MiB of memory, a controller wants ${String(controllerMemoryMiB)}`,
      "give it more memory",
    );
  }
  if (facts.disk.freeMiB < leastDiskMiB)
    error(`${gib(facts.disk.freeMiB)} free on /var/lib, at least ${gib(leastDiskMiB)} needed`, "make room");
  else if (facts.disk.freeMiB < comfortableDiskMiB)
    warning(
      `${gib(facts.disk.freeMiB)} free on /var/lib, ${gib(comfortableDiskMiB)} are better`,
      "make room",
    );

  const skew = (facts.timeMs - serverTimeMs) / 1000;
  if (Math.abs(skew) > clockSeconds)
    warning(`its clock is off by ${skew.toFixed(0)} s`, "chrony puts it right; set it by hand if it stays");
  if (facts.time.client === "chrony" && facts.time.synchronised === false)
    warning("chrony follows no server yet", `are its servers reached? on ${host.name}: chronyc -n sources`);
  else if (Math.abs(facts.time.offsetMs ?? 0) > offsetMs)
    warning(
      `its clock is ${(Math.abs(facts.time.offsetMs ?? 0) / 1000).toFixed(1)} s from ${facts.time.source ?? "its server"}`,
      "it is put right little by little; if it stays: chronyc makestep",
    );
  if (host.role === "compute" && !facts.kvm.usable) {
    warning(`no kvm (${facts.kvm.why}): will use qemu, slow`, "enable virtualisation in its firmware");
  }
  for (const { network, nic } of wanted) {
    const found = facts.nics.find(({ name }) => name === nic);
    if (found === undefined) continue;
    if (found.mtu < leastMtu)
      warning(
        `${nic} (${network}) has an MTU of ${String(found.mtu)}, ${String(leastMtu)} or more are needed`,
        `on ${host.name}: ip link set ${nic} mtu ${String(leastMtu)}, and in /etc/network/interfaces`,
      );
    if (found.speedMbps !== null && found.speedMbps < leastSpeedMbps)
      warning(
        `${nic} (${network}) runs at ${String(found.speedMbps)} Mbit/s`,
        "look at its cable and its port on the switch",
      );
  }
  for (const { name, what, key, severity } of namesNeeded(host, cloud)) {
    if (!facts.unresolved.includes(name)) continue;
    (severity === "error" ? error : warning)(
      `does not resolve ${name}, ${what}`,
      `mend /etc/resolv.conf on ${host.name}, or give an address as ${key} in cloud.yaml`,
    );
  }
  problems.push(...portProblems(host, cloud, facts), ...leftoverProblems(host, facts, look.cluster));
  if (packagesProblem !== null)
    error(
      packagesProblem,
      "mend packages.proxy or packages.mirror in cloud.yaml, or: stackctl secret set packages-proxy-password",
    );

  return {
    host: host.name,
    role: host.role,
    via,
    ssh: "ok",
    os,
    cores: facts.cores,
    memoryMiB: facts.memoryMiB,
    diskMiB: facts.disk.freeMiB,
    disks: { empty: facts.disks.filter(({ empty }) => empty).length, all: facts.disks.length },
    nics: `${String(wanted.length - missing.length)}/${String(wanted.length)}`,
    kvm:
      host.role === "compute" ? (facts.kvm.usable ? `yes, ${facts.kvm.why}` : `no: ${facts.kvm.why}`) : "-",
    clockSeconds: Math.round(skew * 10) / 10,
    time:
      facts.time.client === null ? "none" : facts.time.synchronised === false ? "no sync" : facts.time.client,
    packages: packagesProblem === null ? "ok" : "FAIL",
    problems,
  };
}

/** The row of a host that could not be looked at. */
export function unreachableRow(host: CloudHost, thrown: unknown): PreflightRow {
  const { message, details } = errorData(thrown);
  return {
    host: host.name,
    role: host.role,
    via: "ssh",
    ssh: "FAIL",
    os: null,
    cores: null,
    memoryMiB: null,
    diskMiB: null,
    disks: null,
    nics: null,
    kvm: null,
    clockSeconds: null,
    time: null,
    packages: null,
    // What is wrong may be of the way to the host, and then does not name it.
    problems: [
      {
        severity: "error",
        text: message.startsWith(host.name) ? message : `${host.name}: ${message}`,
        remedy: details.remedy ?? "stackctl preflight",
      },
    ],
  };
}

function gib(mib: number): string {
  return `${(mib / 1024).toFixed(1)} GiB`;
}
