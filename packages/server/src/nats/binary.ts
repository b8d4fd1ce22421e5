import { execFile } from "node:child_process";
import {
  accessSync,
  chmodSync,
  constants,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
  existsSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { StackctlError } from "@stackctl/protocol";

const execute = promisify(execFile);
const sharedCache = "/var/cache/stackctl";

/**
 * True for versions that neither lose acknowledged writes nor have known holes that matter here: from 2.12.12 on the
 * 2.12 line and 2.13, from 2.14.3 on (release notes of nats-server, 2026).
 */
export function versionAllowed(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  if (major !== 2) return major > 2;
  if (minor === 12) return patch >= 12;
  if (minor === 14) return patch >= 3;
  return minor === 13 || minor > 14;
}

/**
 * The path of a nats-server of an allowed version. Debian's package of it, signed by Debian's archive key, is fetched
 * once into a cache that outlives checkouts and is never installed over the system's own.
 * @param fallbackCache where to keep it when `/var/cache` is not writable
 * @throws StackctlError `nats_fetch_failed`
 */
export async function natsServerBinary(fallbackCache: string): Promise<string> {
  const cache = join(writable(sharedCache) ? sharedCache : fallbackCache, "nats-server");
  mkdirSync(cache, { recursive: true });
  const cached = readdirSync(cache)
    .filter(
      (name) =>
        /^\d+\.\d+\.\d+$/.test(name) && versionAllowed(name) && existsSync(join(cache, name, "nats-server")),
    )
    .sort((a, b) => b.localeCompare(a, "en", { numeric: true }))[0];
  if (cached !== undefined) return join(cache, cached, "nats-server");
  return fetch(cache);
}

async function fetch(cache: string): Promise<string> {
  const work = mkdtempSync(join(cache, "fetch-"));
  try {
    for (const folder of ["lists/partial", "archives/partial", "etc"])
      mkdirSync(join(work, folder), { recursive: true });
    const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    writeFileSync(
      join(work, "sources.list"),
      `deb [signed-by=${keyring}] http://deb.debian.org/debian sid main\n`,
    );
    writeFileSync(join(work, "status"), "");
    const options = [
      ["Dir::Etc::sourcelist", join(work, "sources.list")],
      ["Dir::Etc::sourceparts", "/dev/null"],
      ["Dir::Etc::preferencesparts", "/dev/null"],
      ["Dir::State::lists", join(work, "lists")],
      ["Dir::State::status", join(work, "status")],
      ["Dir::Cache", work],
      ["Dir::Cache::archives", join(work, "archives")],
      ["APT::Sandbox::User", "root"],
    ].flatMap(([key = "", value = ""]) => ["-o", `${key}=${value}`]);
    await execute("apt-get", [...options, "update"], { timeout: 180_000 });
    await execute("apt-get", [...options, "download", "nats-server"], { timeout: 180_000, cwd: work });
    const deb = readdirSync(work).find((name) => name.endsWith(".deb"));
    if (deb === undefined) throw new Error("apt-get downloaded no package");
    await execute("dpkg-deb", ["-x", join(work, deb), join(work, "unpacked")], { timeout: 60_000 });
    const binary = join(work, "unpacked/usr/bin/nats-server");
    const found = existsSync(binary) ? binary : join(work, "unpacked/usr/sbin/nats-server");
    const { stdout } = await execute(found, ["--version"], { timeout: 10_000 });
    const version = /v?(\d+\.\d+\.\d+)/.exec(stdout)?.[1] ?? "";
    if (!versionAllowed(version)) {
      throw new StackctlError("nats_version_refused", `Debian offers nats-server ${version}`, {
        details: { expected: "2.12.12 or later on 2.12, or 2.14.3 and later", found: version },
      });
    }
    const ready = join(work, "ready");
    mkdirSync(ready);
    copyFileSync(found, join(ready, "nats-server"));
    chmodSync(join(ready, "nats-server"), 0o755);
    const target = join(cache, version);
    // Another process may have been quicker; its copy is as good.
    if (!existsSync(target)) renameSync(ready, target);
    return join(target, "nats-server");
  } catch (cause) {
    if (cause instanceof StackctlError) throw cause;
    throw new StackctlError(
      "nats_fetch_failed",
      `nats-server could not be fetched from Debian: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        retryable: true,
        details: { remedy: "is Debian's mirror reachable from this machine? try: apt-get update" },
        cause,
      },
    );
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
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
      ["EACCES", "EROFS", "EPERM"].includes(String(error.code))
    )
      return false;
    throw error;
  }
}
