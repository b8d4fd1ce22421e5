import { errorData, type Facts, type PreflightRow } from "@stackctl/protocol";
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

/** Judges one host by what it is and what the cloud wants of it. Pure. */
export function judge(
  host: CloudHost,
  cloud: Cloud,
  facts: Facts,
  packagesProblem: string | null,
  serverTimeMs: number,
  via: PreflightRow["via"],
): PreflightRow {
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
  if (host.role === "compute" && !facts.kvm.usable) {
    warning(`no kvm (${facts.kvm.why}): will use qemu, slow`, "enable virtualisation in its firmware");
  }
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
    nics: `${String(wanted.length - missing.length)}/${String(wanted.length)}`,
    kvm:
      host.role === "compute" ? (facts.kvm.usable ? `yes, ${facts.kvm.why}` : `no: ${facts.kvm.why}`) : "-",
    clockSeconds: Math.round(skew * 10) / 10,
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
    nics: null,
    kvm: null,
    clockSeconds: null,
    packages: null,
    problems: [{ severity: "error", text: message, remedy: details.remedy ?? "stackctl preflight" }],
  };
}

function gib(mib: number): string {
  return `${(mib / 1024).toFixed(1)} GiB`;
}
