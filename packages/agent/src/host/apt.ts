import { createHash } from "node:crypto";
import { readdirSync, statSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { hostPaths, StackctlError, type ErrorCode } from "@stackctl/protocol";
import { change, commandFailed, type CommandEnd } from "./command.ts";
import { isMissing, readOrNull, writeAtomically } from "./files.ts";
import type { Packages } from "./host.ts";
import { lastLines, query } from "./query.ts";

const dpkgStatus = "/var/lib/dpkg/status";
/** dpkg's journal of changes that are not in its status file yet; not empty after it was killed. */
const dpkgUpdates = "/var/lib/dpkg/updates";
const aptLists = "/var/lib/apt/lists";
/** Digest of the sources that the package lists were fetched from. */
const listsOf = join(hostPaths.state, "apt-lists");

const installMinutes = 30;
const updateMinutes = 10;
/** How long another apt, such as Debian's daily timer, may hold a lock. */
const lockSeconds = 120;
/** Less room than this in a folder that apt or dpkg writes to, after they failed: the disk was full. */
const roomBytes = 4 << 20;

const dpkgForce = ["--force-confdef", "--force-confold"];
const aptGet = [
  "apt-get",
  "-q",
  "-y",
  ...options(
    `DPkg::Lock::Timeout=${String(lockSeconds)}`,
    ...dpkgForce.map((force) => `Dpkg::Options::=${force}`),
    "Dpkg::Use-Pty=0",
    "Acquire::Retries=1",
    "Acquire::http::Timeout=30",
    "Acquire::https::Timeout=30",
  ),
];

/** What dpkg says of a package. */
export interface DpkgEntry {
  readonly version: string;
  /** The third word of `Status`: `installed`, `config-files`, or a half state such as `unpacked`. */
  readonly state: string;
}

/** Every package that dpkg's status file names (dpkg(1), deb-src-control(5)); of several architectures an installed one. */
export function parseDpkgStatus(text: string): Map<string, DpkgEntry> {
  const entries = new Map<string, DpkgEntry>();
  for (const block of text.split("\n\n")) {
    const name = /^Package: (.*)$/m.exec(block)?.[1];
    const state = /^Status: \S+ \S+ (\S+)$/m.exec(block)?.[1];
    if (name === undefined || state === undefined) continue;
    if (entries.get(name)?.state === "installed") continue;
    entries.set(name, { version: /^Version: (.*)$/m.exec(block)?.[1] ?? "", state });
  }
  return entries;
}

/** Packages by dpkg and apt. */
export function linuxPackages(): Packages {
  let cached: { key: string; entries: Map<string, DpkgEntry> } | null = null;
  const entries = (): Map<string, DpkgEntry> => {
    // dpkg replaces the file by another one, so a new inode also tells of a change within the clock's grain.
    const { mtimeMs, size, ino } = statSync(dpkgStatus);
    const key = `${String(mtimeMs)} ${String(size)} ${String(ino)}`;
    if (cached?.key !== key) cached = { key, entries: parseDpkgStatus(readOrNull(dpkgStatus) ?? "") };
    return cached.entries;
  };
  const installed = (name: string): string | null => {
    const entry = entries().get(name);
    return entry?.state === "installed" ? entry.version : null;
  };
  /** Completes what an interrupted dpkg left; every later command would refuse otherwise. */
  const completeDpkg = async (): Promise<void> => {
    const half = [...entries().values()].some(({ state }) => !["installed", "config-files"].includes(state));
    if (!half && filesIn(dpkgUpdates).length === 0) return;
    const end = await change("apt", ["dpkg", "--configure", "-a", ...dpkgForce], installMinutes * 60_000);
    // What was only half unpacked stays; apt unpacks it again.
    if (end.code !== 0 && !/reinstall/.test(end.output)) throw packagesFailed(end);
  };

  return {
    installed,
    install: async (names) => {
      if (names.length === 0) return;
      await completeDpkg();
      if (!listsAreCurrent()) await update();
      const argv = [...aptGet, "install", "--no-install-recommends", "--", ...names];
      const first = await change("apt", argv, installMinutes * 60_000);
      if (first.code === 0) return;
      // Lists that are older than the mirror name versions that it has no more, or do not know the package yet.
      const outdated = ["package_unavailable", "package_outdated"].includes(problemOf(first.output).kind);
      if (!outdated) throw packagesFailed(first);
      await update();
      const second = await change("apt", argv, installMinutes * 60_000);
      if (second.code !== 0) throw packagesFailed(second);
    },
    purge: async (names) => {
      const there = names.filter((name) => entries().has(name));
      if (there.length === 0) return;
      await completeDpkg();
      const alone = await withoutDependants(there);
      if (alone.length === 0) return;
      const going = [...alone, ...(await cameWith(alone))];
      const end = await change("apt", [...aptGet, "purge", "--", ...going], installMinutes * 60_000);
      if (end.code !== 0) throw packagesFailed(end);
    },
  };
}

/** Those of the packages that can go without taking any other with them. */
async function withoutDependants(names: readonly string[]): Promise<string[]> {
  let going = [...names];
  // Taking one out can keep another, so until nothing more stays; at most once for each.
  for (let round = 0; round <= names.length && going.length > 0; round++) {
    const wouldGo = await simulatePurge(going);
    if (wouldGo.every((name) => going.includes(name))) return going;
    const kept: string[] = [];
    for (const name of going) {
      const alone = await simulatePurge([name]);
      if (alone.every((other) => going.includes(other))) kept.push(name);
    }
    going = kept;
  }
  return going;
}

/**
 * What was installed only because these need it, and nothing else does. What nobody needed before is not ours to take.
 */
async function cameWith(names: readonly string[]): Promise<string[]> {
  const before = await simulate(["autoremove"]);
  const after = await simulate(["--auto-remove", "purge", "--", ...names]);
  return after.filter((name) => !before.includes(name) && !names.includes(name));
}

/** Every package that a purge of these would take away; changes nothing. */
function simulatePurge(names: readonly string[]): Promise<string[]> {
  return simulate(["purge", "--", ...names]);
}

async function simulate(order: readonly string[]): Promise<string[]> {
  const args = ["-s", "-q", ...order];
  const { code, stdout, stderr } = await query("apt-get", args, 60_000);
  if (code !== 0) {
    throw commandFailed({ argv: ["apt-get", ...args], code, output: stdout + stderr });
  }
  return [...stdout.matchAll(/^(?:Purg|Remv) ([^\s:]+)/gm)].map(([, name = ""]) => name);
}

/** Fetches the package lists and notes what they were fetched from. @throws StackctlError as `install` */
export async function update(): Promise<void> {
  const sources = sourcesDigest();
  const until = performance.now() + lockSeconds * 1000;
  for (;;) {
    const end = await change("apt", [...aptGet, "update", "--error-on=any"], updateMinutes * 60_000);
    if (end.code === 0) break;
    // DPkg::Lock::Timeout is for dpkg's locks; apt does not wait for the one of its lists.
    if (!/Could not get lock \/var\/lib\/apt\/lists/.test(end.output) || performance.now() > until)
      throw packagesFailed(end);
    await delay(2000);
  }
  writeAtomically(listsOf, sources, 0o600);
}

/** False when the sources are others than those that the lists were fetched from, or there are no lists. */
function listsAreCurrent(): boolean {
  return (
    readOrNull(listsOf) === sourcesDigest() &&
    filesIn(aptLists).some((name) => name.endsWith("_InRelease") || name.endsWith("_Release"))
  );
}

/** By content: times lie on a host whose clock is not set yet. */
function sourcesDigest(): string {
  const folder = "/etc/apt/sources.list.d";
  const paths = [
    "/etc/apt/sources.list",
    ...filesIn(folder)
      .filter((name) => /^[^.].*\.(list|sources)$/.test(name))
      .toSorted()
      .map((name) => join(folder, name)),
  ];
  const hash = createHash("sha256");
  for (const path of paths) hash.update(JSON.stringify([path, readOrNull(path)]));
  return hash.digest("hex");
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** What apt's output says is wrong. */
export interface AptProblem {
  readonly kind:
    | Extract<ErrorCode, "disk_full" | "packages_unreachable" | "package_unavailable">
    /** The lists have to be fetched again: they name a version that the mirror has no more, or lost their signature. */
    | "package_outdated"
    | "other";
  /** One sentence for people, without a full stop. */
  readonly text: string;
  /** What to do next; null: nothing better than to read the output. */
  readonly remedy: string | null;
}

/** Judges the output of a failed apt-get, dpkg or apt-helper (apt 2.6, LC_ALL=C.UTF-8). Pure. */
export function problemOf(output: string): AptProblem {
  const line = (pattern: RegExp): string | null => {
    const found = output.split("\n").find((each) => pattern.test(each));
    return found === undefined
      ? null
      : found
          .replace(/^(?:[EW]|Err:\d+|dpkg: error[^:]*):?\s*/, "")
          .trim()
          .slice(0, 250);
  };
  if (/No space left on device|don't have enough free space/i.test(output)) {
    return {
      kind: "disk_full",
      text: "no room to install packages",
      remedy: "make room on the host; see: df -h / /var",
    };
  }
  if (/\b407\b/.test(output)) {
    return {
      kind: "packages_unreachable",
      text: "the proxy refuses the password",
      remedy: "stackctl secret set packages-proxy-password",
    };
  }
  const unreached = line(
    /Could not connect|Unable to connect|Connection (?:refused|timed out|failed)|Could not resolve|failure resolving|Network is unreachable|No route to host|Could not handshake|Failed to fetch .* (?:4(?!0[47])\d\d|5\d\d) /i,
  );
  if (unreached !== null) {
    return {
      kind: "packages_unreachable",
      text: `packages are not reached: ${unreached}`,
      remedy:
        "see that packages.proxy and packages.mirror in cloud.yaml are right and answer, then: stackctl preflight",
    };
  }
  const dated = line(/is not valid yet|Release file .* is expired|not live until/i);
  if (dated !== null) {
    return {
      kind: "packages_unreachable",
      text: `the mirror's signatures do not fit the host's clock: ${dated}`,
      remedy: "set the host's clock (date -s), for chrony cannot before it is installed",
    };
  }
  const unknown =
    /(?:Unable to locate package |Package '?)([a-z0-9][a-z0-9+.-]*)(?:$|' has no installation candidate)/m.exec(
      output,
    )?.[1];
  if (unknown !== undefined) {
    return {
      kind: "package_unavailable",
      text: `the mirror has no package ${unknown}`,
      remedy: "see that packages.mirror in cloud.yaml is a full mirror of Debian 12",
    };
  }
  const noRelease = line(/does not have a Release file/);
  if (noRelease !== null) {
    return {
      kind: "packages_unreachable",
      text: `this is no mirror of Debian 12: ${noRelease}`,
      remedy: "mend packages.mirror in cloud.yaml",
    };
  }
  if (/There were unauthenticated packages/.test(output)) {
    return {
      kind: "package_outdated",
      text: "the package lists lack their signature",
      remedy: "stackctl apply",
    };
  }
  const gone = line(/Failed to fetch .*\b404\b/) ?? line(/\b404\b/);
  if (gone !== null) {
    return {
      kind: "package_outdated",
      text: `the mirror lacks what its own lists name: ${gone}`,
      remedy: "wait until the mirror is in step, then: stackctl apply",
    };
  }
  return { kind: "other", text: "", remedy: null };
}

/** The first mirror of the host's own sources (sources.list(5)); null: none is named in the one-line form. */
export function firstMirror(): string | null {
  const lines = (readOrNull("/etc/apt/sources.list") ?? "").split("\n");
  return lines.map((line) => /^deb (?:\[[^\]]*\] )?(https?:\/\/\S+)/.exec(line)?.[1]).find(Boolean) ?? null;
}

/** The error of a failed apt or dpkg, by what it said, or by the room that is left when it could not even say that. */
export function packagesFailed(end: CommandEnd): StackctlError {
  const full = [dpkgStatus, "/var/cache/apt", hostPaths.state, "/"].some(hasNoRoom);
  const { kind, text, remedy } = problemOf(full ? `${end.output}\nNo space left on device` : end.output);
  if (kind === "other") return commandFailed(end);
  return new StackctlError(kind === "package_outdated" ? "package_unavailable" : kind, text, {
    retryable: true,
    details: {
      command: { argv: end.argv, code: end.code, stderr: lastLines(end.output) },
      ...(remedy === null ? {} : { remedy }),
    },
  });
}

function hasNoRoom(path: string): boolean {
  try {
    const { bavail, bsize, files, ffree } = statfsSync(path);
    return bavail * bsize < roomBytes || (files > 0 && ffree === 0);
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

function options(...values: string[]): string[] {
  return values.flatMap((value) => ["-o", value]);
}
