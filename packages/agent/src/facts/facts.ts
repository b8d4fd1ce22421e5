import { accessSync, constants, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { arch, cpus, hostname, networkInterfaces, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import type { Facts, FactsAnswer } from "@stackctl/protocol";
import { query } from "../host/command.ts";
import { readOrNull } from "../host/files.ts";

/** What this host is. Runs in a short-lived child: what `systeminformation` loads is gone with it. */
export async function collectFacts(): Promise<Facts> {
  const { default: information } = await import("systeminformation");
  const [disks, flags] = await Promise.all([information.fsSize(), information.cpuFlags()]);
  const disk = disks
    .filter(({ mount }) => mount === "/" || "/var/lib/".startsWith(`${mount}/`))
    .sort((a, b) => b.mount.length - a.mount.length)[0];
  const release = readOrNull("/etc/os-release") ?? "";
  const field = (name: string): string => new RegExp(`^${name}="?([^"\n]*)"?$`, "m").exec(release)?.[1] ?? "";
  const addresses = networkInterfaces();
  return {
    hostname: hostname(),
    bootId: (readOrNull("/proc/sys/kernel/random/boot_id") ?? "").trim(),
    os: { id: field("ID"), version: field("VERSION_ID") },
    architecture: arch() === "x64" ? "x86_64" : arch(),
    cores: cpus().length,
    memoryMiB: Math.floor(totalmem() / 1048576),
    disk: {
      totalMiB: Math.floor((disk?.size ?? 0) / 1048576),
      freeMiB: Math.floor((disk?.available ?? 0) / 1048576),
    },
    nics: readdirSync("/sys/class/net")
      .filter((name) => name !== "lo")
      .map((name) => ({
        name,
        addresses: (addresses[name] ?? [])
          .filter(({ family }) => family === "IPv4")
          .map(({ address }) => address),
        up: readOrNull(`/sys/class/net/${name}/operstate`)?.trim() === "up",
      })),
    timeMs: Date.now(),
    kvm: kvm(flags),
  };
}

/** What the host answers to a `facts` request. */
export async function factsAnswerOf(packagesUrl: string | null): Promise<FactsAnswer> {
  return {
    facts: await collectFacts(),
    packagesProblem: packagesUrl === null ? null : await packagesProblem(packagesUrl),
  };
}

/** Fetches one small file the way apt would. @returns null when it arrived, else why not */
async function packagesProblem(url: string): Promise<string | null> {
  const folder = mkdtempSync(join(tmpdir(), "stackctl-facts-"));
  try {
    const { code, stdout, stderr } = await query(
      "/usr/lib/apt/apt-helper",
      [
        "-o",
        "Acquire::Retries=0",
        "-o",
        "Acquire::http::Timeout=10",
        "-o",
        "APT::Sandbox::User=root",
        "download-file",
        url,
        join(folder, "file"),
      ],
      20_000,
    );
    if (code === 0) return null;
    const text = `${stdout}${stderr}`;
    if (/\b407\b/.test(text)) return "the proxy refuses the password";
    const line =
      text
        .trim()
        .split("\n")
        .findLast((each) => each.startsWith("E:")) ?? "no answer";
    return `${url} is not reached: ${line.slice(0, 160)}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function kvm(flags: string): Facts["kvm"] {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
  } catch (error) {
    return {
      usable: false,
      why: `no /dev/kvm (${error instanceof Error && "code" in error ? String(error.code) : "unknown"})`,
    };
  }
  return { usable: true, why: /\b(vmx|svm)\b/.exec(flags)?.[1] ?? "by /dev/kvm" };
}
