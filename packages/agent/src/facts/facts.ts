import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { availableParallelism, hostname, machine, networkInterfaces, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { StackctlError, type Facts, type FactsAnswer, type PackagesWay } from "@stackctl/protocol";
import { problemOf } from "../host/apt.ts";
import { readOrNull } from "../host/files.ts";
import { query } from "../host/query.ts";

/** What this host is. Runs in a short-lived child: what `systeminformation` loads is gone with it. */
export async function collectFacts(): Promise<Facts> {
  const { default: information } = await import("systeminformation");
  const flags = await information.cpuFlags();
  const disk = statfsSync("/var/lib");
  const release = readOrNull("/etc/os-release") ?? "";
  const field = (name: string): string => new RegExp(`^${name}="?([^"\n]*)"?$`, "m").exec(release)?.[1] ?? "";
  const addresses = networkInterfaces();
  return {
    hostname: hostname(),
    bootId: (readOrNull("/proc/sys/kernel/random/boot_id") ?? "").trim(),
    os: { id: field("ID"), version: field("VERSION_ID") },
    architecture: machine(),
    cores: availableParallelism(),
    memoryMiB: Math.floor(totalmem() / 1048576),
    disk: {
      totalMiB: Math.floor((disk.blocks * disk.bsize) / 1048576),
      freeMiB: Math.floor((disk.bavail * disk.bsize) / 1048576),
    },
    // /sys shows the machine's own NICs even inside a container; this file is of the host's network stack.
    nics: (readOrNull("/proc/net/dev") ?? "")
      .split("\n")
      .flatMap((line) => /^\s*([^:\s]+):/.exec(line)?.[1] ?? [])
      .filter((name) => name !== "lo")
      .map((name) => ({
        name,
        addresses: (addresses[name] ?? [])
          .filter(({ family }) => family === "IPv4")
          .map(({ address }) => address),
        up: addresses[name] !== undefined,
      })),
    timeMs: Date.now(),
    kvm: kvm(flags),
  };
}

/** What the host answers to a `facts` request; printed by `agent.cjs facts`. */
export async function factsAnswerOf(way: PackagesWay): Promise<FactsAnswer> {
  return { facts: await collectFacts(), packagesProblem: await packagesProblem(way) };
}

/**
 * Fetches one small file the way apt would: through the proxy that is given, in place of all that the host is configured to,
 * else with the host's own apt configuration.
 * @returns null when it arrived, else why not, in one sentence
 */
async function packagesProblem({ url, proxy }: PackagesWay): Promise<string | null> {
  // Made 0700: the configuration in it may hold the proxy's password.
  const folder = mkdtempSync(join(tmpdir(), "stackctl-facts-"));
  const configuration = join(folder, "apt.conf");
  const own = [
    'Dir::Etc::parts "/dev/null";',
    'Dir::Etc::main "/dev/null";',
    `Acquire::http::Proxy "${proxy ?? ""}";`,
  ];
  try {
    writeFileSync(configuration, proxy === null ? "" : `${own.join("\n")}\n`, { mode: 0o600 });
    const { code, stdout, stderr } = await query(
      "env",
      [
        `APT_CONFIG=${configuration}`,
        "/usr/lib/apt/apt-helper",
        ...["Acquire::Retries=0", "Acquire::http::Timeout=10", "Acquire::https::Timeout=10"].flatMap(
          (option) => ["-o", option],
        ),
        // Its own user could not write into this folder.
        ...["-o", "APT::Sandbox::User=root"],
        ...["download-file", url, join(folder, "file")],
      ],
      20_000,
    );
    if (code === 0) return null;
    const output = `${stdout}${stderr}`;
    const { kind, text } = problemOf(output);
    // A mirror that has not even its own index is the wrong one, not one that lags behind.
    if (kind === "package_outdated") return `the mirror has no ${url}`;
    if (kind !== "other") return text;
    const last = output.trim().split("\n").at(-1) ?? "";
    return `${url} was not fetched: ${last === "" ? "no reason given" : last.slice(0, 200)}`;
  } catch (error) {
    if (error instanceof StackctlError && error.code === "command_timeout")
      return `${url} did not arrive within 20 s`;
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Whether guests can use the processor's virtualisation: the device must open, to be there is not enough. */
function kvm(flags: string): Facts["kvm"] {
  try {
    closeSync(openSync("/dev/kvm", "r+"));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    const why = code === "ENOENT" ? "there is no /dev/kvm" : `/dev/kvm does not open (${code})`;
    return { usable: false, why };
  }
  const extension = /\b(vmx|svm)\b/.exec(flags)?.[1];
  return {
    usable: true,
    why: extension === undefined ? "/dev/kvm opens" : `/dev/kvm opens (${extension})`,
  };
}
