import { execFile } from "node:child_process";
import {
  accessSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { StackctlError } from "@stackctl/protocol";

const execute = promisify(execFile);

/** Outlives checkouts and homes; one fetch serves every cloud of this machine. */
const machineCache = "/var/cache/stackctl";
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
const aptTimeoutMs = 180_000;

/**
 * True for versions that can be told to sync every write and have no known hole that matters here: from 2.12.12 on the
 * 2.12 line, 2.13, and from 2.14.3 on (security notes 2026-16, -18 and -26 of nats-server).
 */
export function versionAllowed(version: string): boolean {
  const parts = /^(\d+)\.(\d+)\.(\d+)$/.exec(version);
  if (parts === null) return false;
  const [major = 0, minor = 0, patch = 0] = parts.slice(1).map(Number);
  if (major !== 2) return major > 2;
  if (minor === 12) return patch >= 12;
  if (minor === 14) return patch >= 3;
  return minor === 13 || minor > 14;
}

/**
 * The path of a nats-server of an allowed version. Debian's package of it, its index signed by Debian's archive key, is
 * fetched once and unpacked into a cache by version, `nats-server/<version>/nats-server`; it is never installed. With one in a
 * cache no network is needed. Safe when several processes do it at once.
 * @param ownCache used when the machine's cache is not writable
 * @param sharedCache the machine's cache. @default /var/cache/stackctl
 * @throws StackctlError `nats_fetch_failed` when Debian's mirror gives none, `nats_version_refused` when it gives one that is too old
 */
export async function natsServerBinary(ownCache: string, sharedCache = machineCache): Promise<string> {
  const caches = [sharedCache, ownCache].map((folder) => join(folder, "nats-server"));
  for (const cache of caches) {
    const newest = versionsIn(cache)[0];
    if (newest !== undefined) return join(cache, newest, "nats-server");
  }
  const cache = join(writable(sharedCache) ? sharedCache : ownCache, "nats-server");
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, "fetch-"));
  try {
    const found = await fetchPackaged(work);
    const version = await versionOf(found);
    if (!versionAllowed(version)) {
      throw new StackctlError("nats_version_refused", `Debian offers nats-server ${version}`, {
        details: {
          expected: "2.12.12 or later on 2.12, 2.13, or 2.14.3 and later",
          found: version,
          remedy: `put a newer binary at ${join(cache, "<version>", "nats-server")}`,
        },
      });
    }
    return keep(found, join(work, "ready"), join(cache, version));
  } catch (cause) {
    if (cause instanceof StackctlError) throw cause;
    throw new StackctlError(
      "nats_fetch_failed",
      `nats-server could not be fetched from Debian: ${firstError(cause)}`,
      {
        retryable: true,
        details: {
          remedy: `apt-get update must work on this machine, through its proxy if it has one; or put a binary at ${join(cache, "<version>", "nats-server")}`,
        },
        cause,
      },
    );
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Allowed versions in a cache, newest first. */
function versionsIn(cache: string): string[] {
  if (!existsSync(cache)) return [];
  return readdirSync(cache)
    .filter((name) => versionAllowed(name) && existsSync(join(cache, name, "nats-server")))
    .sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
}

/** Downloads and unpacks Debian's package below `work`. @returns the path of the binary */
async function fetchPackaged(work: string): Promise<string> {
  for (const folder of ["lists/partial", "archives/partial"])
    mkdirSync(join(work, folder), { recursive: true });
  writeFileSync(
    join(work, "sources.list"),
    `deb [signed-by=${keyring}] http://deb.debian.org/debian sid main\n`,
  );
  writeFileSync(join(work, "status"), "");
  // Only where apt reads and writes is changed: the machine's own proxy settings keep working, and its lists, packages
  // and pins neither matter nor are touched.
  const options = [
    `Dir::Etc::sourcelist=${join(work, "sources.list")}`,
    "Dir::Etc::sourceparts=/dev/null",
    "Dir::Etc::preferences=/dev/null",
    "Dir::Etc::preferencesparts=/dev/null",
    `Dir::State=${work}`,
    `Dir::State::lists=${join(work, "lists")}`,
    `Dir::State::status=${join(work, "status")}`,
    `Dir::Cache=${work}`,
    `Dir::Cache::archives=${join(work, "archives")}`,
    "Acquire::Languages=none",
    "APT::Sandbox::User=root",
    // What a machine may have been told about its own sources is no reason to run an unsigned binary here.
    "APT::Get::AllowUnauthenticated=false",
    "Acquire::AllowInsecureRepositories=false",
    "Acquire::AllowDowngradeToInsecureRepositories=false",
    "Acquire::AllowWeakRepositories=false",
    // Without it a mirror that does not answer is only a warning.
    "APT::Update::Error-Mode=any",
  ].flatMap((option) => ["-o", option]);
  const settings = { timeout: aptTimeoutMs, cwd: work, env: { ...process.env, LC_ALL: "C" } };
  await execute("apt-get", [...options, "update"], settings);
  await execute("apt-get", [...options, "download", "nats-server"], settings);
  const deb = readdirSync(work).find((name) => name.endsWith(".deb"));
  if (deb === undefined) throw new Error("apt-get downloaded no package");
  const unpacked = join(work, "unpacked");
  await execute("dpkg-deb", ["-x", join(work, deb), unpacked], { timeout: 60_000 });
  const found = ["usr/bin/nats-server", "usr/sbin/nats-server"]
    .map((path) => join(unpacked, path))
    .find((path) => existsSync(path));
  if (found === undefined) throw new Error(`${deb} holds no nats-server`);
  return found;
}

async function versionOf(binary: string): Promise<string> {
  const { stdout } = await execute(binary, ["--version"], { timeout: 10_000 });
  return /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? stdout.trim();
}

/** Puts the binary where it stays, whole and on disk, or leaves what another process put there first. */
function keep(found: string, ready: string, target: string): string {
  mkdirSync(ready);
  const copy = join(ready, "nats-server");
  copyFileSync(found, copy);
  const descriptor = openSync(copy, "r");
  fchmodSync(descriptor, 0o755);
  fsyncSync(descriptor);
  closeSync(descriptor);
  try {
    renameSync(ready, target);
  } catch (error) {
    // Another process was quicker; its copy is as good.
    if (!existsSync(join(target, "nats-server"))) throw error;
  }
  return join(target, "nats-server");
}

/** What apt said was wrong, without its progress. */
function firstError(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const stderr = "stderr" in cause ? String(cause.stderr) : "";
  const line = stderr.split("\n").find((each) => /^[EW]: /.test(each));
  return line?.slice(3) ?? cause.message.split("\n")[0] ?? cause.name;
}

function writable(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
    return true;
  } catch (error) {
    if (
      error instanceof Error &&
      "code" in error &&
      ["EACCES", "EROFS", "EPERM", "ENOTDIR"].includes(String(error.code))
    )
      return false;
    throw error;
  }
}
