import { createHash, randomBytes } from "node:crypto";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { end, output, processesWith, run, within, type ProcessMark } from "./command.ts";
import { cacheFolder, networkNames, type Lab } from "./lab.ts";

/** Ports of the lab's services on each management bridge. */
export const proxyPort = 3128;
export const mirrorPort = 3142;
/** Outside of the labs' own folders, which only root may enter: squid and its helper run as `proxy`. */
const folder = "/run/stackctl-lab-squid";
const cache = join(cacheFolder, "squid");
const configurationFile = join(folder, "squid.conf");
const pidFile = join(folder, "squid.pid");
const passwords = join(folder, "passwords");
/** The configuration that the running squid has read; a kill between writing and telling it leaves a difference. */
const loaded = join(folder, "squid.loaded");

/** squid's configuration for these labs; a port on loopback, without password, is for making the root file system. */
export function squidConfiguration(labs: readonly Lab[]): string {
  const lines = [
    `http_port 127.0.0.1:${String(proxyPort)} name=loopback`,
    "acl on_loopback myportname loopback",
    "http_access allow on_loopback",
    `auth_param basic program /usr/lib/squid/basic_ncsa_auth ${passwords}`,
    "auth_param basic children 2",
    "auth_param basic realm lab",
    "acl debian dstdomain .debian.org",
  ];
  for (const lab of labs) {
    const { gateway } = lab.networks.management;
    const id = idOf(lab);
    const nets = networkNames.map((network) => lab.networks[network].cidr);
    // Another lab reaches these ports too: this machine answers on all its addresses.
    lines.push(`acl from_${id} src ${nets.join(" ")}`);
    if (lab.proxy !== null) {
      lines.push(
        `http_port ${gateway}:${String(proxyPort)} name=proxy_${id}`,
        `acl at_${id} myportname proxy_${id}`,
        `acl user_${id} proxy_auth ${lab.proxy.user}`,
        `http_access allow at_${id} from_${id} user_${id}`,
      );
    } else {
      lines.push(
        `http_port ${gateway}:${String(mirrorPort)} accel defaultsite=deb.debian.org no-vhost name=mirror_${id}`,
        `acl at_${id} myportname mirror_${id}`,
        `http_access allow at_${id} from_${id} debian`,
      );
    }
  }
  const mirrors = labs.filter((lab) => lab.mirror !== null).map((lab) => `mirror_${idOf(lab)}`);
  if (mirrors.length > 0) {
    lines.push(
      `acl accelerated myportname ${mirrors.join(" ")}`,
      "cache_peer deb.debian.org parent 80 0 no-query originserver name=debian",
      // What comes in by a proxy's port goes to where it asks for, never to this one origin.
      "cache_peer_access debian allow accelerated",
      "cache_peer_access debian deny all",
      "never_direct allow accelerated",
    );
  }
  lines.push(
    "http_access deny all",
    `cache_dir aufs ${join(cacheFolder, "squid")} 20000 16 256`,
    "cache_mem 64 MB",
    "maximum_object_size 1 GB",
    "refresh_pattern \\.deb$ 129600 100% 129600",
    "refresh_pattern . 0 20% 60",
    "shutdown_lifetime 0 seconds",
    "coredump_dir none",
    "cache_effective_user proxy",
    `pid_filename ${pidFile}`,
    `access_log none`,
    `cache_log ${join(folder, "squid.log")}`,
    "visible_hostname lab",
    "pinger_enable off",
    "",
  );
  return lines.join("\n");
}

/**
 * Brings squid to what these labs need: starts it, tells it, or ends it when there are none. Repeatable, and it leaves a
 * squid that has nothing new to learn alone: other labs are using it. Under the machine's lock only.
 */
export async function tendSquid(labs: readonly Lab[]): Promise<void> {
  const running = squidMarks();
  if (labs.length === 0) {
    for (const mark of running) await end(mark, 10_000);
    rmSync(folder, { recursive: true, force: true });
    return;
  }
  mkdirSync(folder, { recursive: true });
  mkdirSync(cache, { recursive: true });
  await output("chown", ["proxy:proxy", folder, cache]);
  await writePasswords(labs);
  const text = squidConfiguration(labs);
  const known = running.length > 0 && existsSync(loaded) && readFileSync(loaded, "utf8") === text;
  if (!known) {
    writeFileSync(configurationFile, text);
    if (running.length > 0) await output("squid", ["-k", "reconfigure", "-f", configurationFile]);
    else await startSquid();
  }
  const ports: [string, number][] = [
    ["127.0.0.1", proxyPort],
    ...labs.map((lab): [string, number] => [
      lab.networks.management.gateway,
      lab.proxy === null ? mirrorPort : proxyPort,
    ]),
  ];
  for (const [host, port] of ports) {
    if (await within(15_000, () => answers(host, port))) continue;
    rmSync(loaded, { force: true });
    const { stdout } = await run("tail", ["-n", "5", join(folder, "squid.log")]);
    throw new Error(`squid does not answer at ${host}:${String(port)}; the end of its log:\n${stdout}`);
  }
  writeFileSync(loaded, text);
}

/** True while the squid of the labs runs. */
export function squidRuns(): boolean {
  return squidMarks().length > 0;
}

/** A new random password, in a file that only root reads. Keeps the one that is there. */
export function makePassword(file: string): void {
  if (existsSync(file)) return;
  writeFileSync(`${file}.new`, randomBytes(16).toString("hex"), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

async function startSquid(): Promise<void> {
  rmSync(pidFile, { force: true });
  if (!existsSync(join(cache, "00"))) await output("squid", ["-N", "-z", "-f", configurationFile]);
  const log = openSync(join(folder, "squid.out"), "a");
  spawn("squid", ["-N", "-f", configurationFile], { detached: true, stdio: ["ignore", log, log] }).unref();
}

/** Who may use the proxies, as crypt(5) hashes. squid's helper reads the file again by itself when it is replaced. */
async function writePasswords(labs: readonly Lab[]): Promise<void> {
  const lines: string[] = [];
  for (const { proxy } of labs) {
    // A lab that was killed while it was made may have none yet; its next `up` comes here again.
    if (proxy === null || !existsSync(proxy.passwordFile)) continue;
    const password = readFileSync(proxy.passwordFile, "utf8").trim();
    // The same salt each time, so that what has not changed stays the same; the password is random enough without.
    const salt = createHash("sha256").update(password).digest("hex").slice(0, 8);
    const hash = await output("openssl", ["passwd", "-apr1", "-salt", salt, "-stdin"], { input: password });
    lines.push(`${proxy.user}:${hash.trim()}\n`);
  }
  const text = lines.join("");
  if (existsSync(passwords) && readFileSync(passwords, "utf8") === text) return;
  writeFileSync(`${passwords}.new`, text, { mode: 0o640 });
  await output("chown", ["root:proxy", `${passwords}.new`]);
  renameSync(`${passwords}.new`, passwords);
}

function squidMarks(): ProcessMark[] {
  return processesWith(
    (argv) => argv[0] === "squid" && argv.includes(configurationFile) && !argv.includes("-k"),
  );
}

/** A lab's name as squid takes it in a name of its own. */
function idOf(lab: Lab): string {
  return lab.name.replaceAll("-", "_");
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 500 });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    for (const event of ["error", "timeout"] as const) {
      socket.once(event, () => {
        socket.destroy();
        resolve(false);
      });
    }
  });
}
