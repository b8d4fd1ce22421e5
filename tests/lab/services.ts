import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { end, lives, markOf, output, run, within, type ProcessMark } from "./command.ts";
import { cacheFolder, labNames, readLab, type Lab } from "./lab.ts";

/** Ports of the lab's services on each management bridge. */
export const proxyPort = 3128;
export const mirrorPort = 3142;
/** Outside of the labs' own folders, which only root may enter: squid and its helper run as `proxy`. */
const folder = "/run/stackctl-lab-squid";
const pidFile = join(folder, "squid.pid");
const passwords = join(folder, "passwords");

/** squid's configuration for these labs; a port on loopback, without password, is for making the root file system. */
export function squidConfiguration(labs: readonly Lab[]): string {
  const lines = [
    `http_port 127.0.0.1:${String(proxyPort)} name=machine`,
    "acl from_machine myportname machine",
    "http_access allow from_machine",
    `auth_param basic program /usr/lib/squid/basic_ncsa_auth ${passwords}`,
    "auth_param basic children 2",
    "auth_param basic realm lab",
    "acl debian dstdomain .debian.org",
  ];
  for (const lab of labs) {
    const { gateway } = lab.networks.management;
    const id = lab.name.replaceAll("-", "_");
    if (lab.proxy !== null) {
      lines.push(
        `http_port ${gateway}:${String(proxyPort)} name=proxy_${id}`,
        `acl at_${id} myportname proxy_${id}`,
        `acl user_${id} proxy_auth ${lab.proxy.user}`,
        `http_access allow at_${id} user_${id}`,
      );
    } else {
      lines.push(
        `http_port ${gateway}:${String(mirrorPort)} accel defaultsite=deb.debian.org no-vhost name=mirror_${id}`,
        `acl at_${id} myportname mirror_${id}`,
        `http_access allow at_${id} debian`,
      );
    }
  }
  if (labs.some((lab) => lab.mirror !== null)) {
    lines.push(
      "cache_peer deb.debian.org parent 80 0 no-query originserver name=debian",
      "cache_peer_access debian allow all",
    );
    lines.push(
      "acl accelerated myportname " +
        labs
          .filter((lab) => lab.mirror !== null)
          .map((lab) => `mirror_${lab.name.replaceAll("-", "_")}`)
          .join(" "),
    );
    lines.push("never_direct allow accelerated");
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

/** Brings squid to what the labs that are up need: starts it, tells it, or ends it when none is left. */
export async function tendSquid(upLabs: readonly Lab[], keepForMachine: boolean): Promise<void> {
  const running = squidMark();
  if (upLabs.length === 0 && !keepForMachine) {
    await end(running, 10_000);
    rmSync(folder, { recursive: true, force: true });
    return;
  }
  mkdirSync(folder, { recursive: true });
  mkdirSync(join(cacheFolder, "squid"), { recursive: true });
  await output("chown", ["-R", "--", "proxy:proxy", folder]);
  await output("chown", ["proxy:proxy", join(cacheFolder, "squid")]);
  writeFileSync(passwords, "", { mode: 0o640 });
  for (const lab of upLabs) {
    if (lab.proxy === null) continue;
    // htpasswd reads the password from its standard input: it is in no argument list.
    await output("htpasswd", ["-i", "-m", passwords, lab.proxy.user], {
      input: readFileSync(lab.proxy.passwordFile, "utf8").trim(),
    });
  }
  await output("chown", ["proxy:proxy", passwords]);
  const configuration = join(folder, "squid.conf");
  writeFileSync(configuration, squidConfiguration(upLabs));
  if (lives(running)) {
    await output("squid", ["-k", "reconfigure", "-f", configuration]);
  } else {
    rmSync(pidFile, { force: true });
    if (!existsSync(join(cacheFolder, "squid", "00")))
      await output("squid", ["-N", "-z", "-f", configuration]);
    const log = openSync(join(folder, "squid.out"), "a");
    spawn("squid", ["-N", "-f", configuration], { detached: true, stdio: ["ignore", log, log] }).unref();
  }
  const ports: [string, number][] = [
    ["127.0.0.1", proxyPort],
    ...upLabs.map((lab): [string, number] => [
      lab.networks.management.gateway,
      lab.proxy === null ? mirrorPort : proxyPort,
    ]),
  ];
  for (const [host, port] of ports) {
    if (await within(15_000, () => answers(host, port))) continue;
    const { stdout } = await run("tail", ["-n", "5", join(folder, "squid.log")]);
    throw new Error(`squid does not answer at ${host}:${String(port)}:\n${stdout}`);
  }
}

/** squid's process; null when it is not running. */
function squidMark(): ProcessMark | null {
  if (!existsSync(pidFile)) return null;
  const pid = Number(readFileSync(pidFile, "utf8"));
  const line = existsSync(`/proc/${String(pid)}/cmdline`)
    ? readFileSync(`/proc/${String(pid)}/cmdline`, "utf8")
    : "";
  return line.startsWith("squid\0") || line.includes("squid") ? markOf(pid) : null;
}

/** The labs on this machine whose bridges are there. */
export function labsThatAreUp(isUp: (lab: Lab) => boolean): Lab[] {
  return labNames()
    .map((name) => readLab(name))
    .filter(isUp);
}

/** The time for a lab: a chronyd on its management bridge that follows nothing and sets no clock. */
export async function startTime(lab: Lab): Promise<void> {
  if (lives(timeMark(lab))) return;
  const configuration = join(lab.directory, "chrony.conf");
  const pid = timePidFile(lab);
  rmSync(pid, { force: true });
  writeFileSync(
    configuration,
    [
      `bindaddress ${lab.networks.management.gateway}`,
      `allow ${lab.networks.management.cidr}`,
      "local stratum 8",
      "cmdport 0",
      `bindcmdaddress /`,
      `pidfile ${pid}`,
      `driftfile ${join(lab.directory, "chrony.drift")}`,
      "",
    ].join("\n"),
  );
  const log = openSync(join(lab.directory, "chrony.log"), "a");
  spawn("chronyd", ["-x", "-d", "-u", "root", "-f", configuration], {
    detached: true,
    stdio: ["ignore", log, log],
  }).unref();
  if (!(await within(5000, () => lives(timeMark(lab)))))
    throw new Error(
      `the lab's chronyd did not start: ${readFileSync(join(lab.directory, "chrony.log"), "utf8")}`,
    );
}

/** Ends the lab's chronyd. */
export async function stopTime(lab: Lab): Promise<void> {
  await end(timeMark(lab), 3000);
}

function timePidFile(lab: Lab): string {
  return join(lab.directory, "chronyd.pid");
}

/** The lab's chronyd; null when it is not running. */
function timeMark(lab: Lab): ProcessMark | null {
  const file = timePidFile(lab);
  if (!existsSync(file)) return null;
  const pid = Number(readFileSync(file, "utf8"));
  const line = existsSync(`/proc/${String(pid)}/cmdline`)
    ? readFileSync(`/proc/${String(pid)}/cmdline`, "utf8")
    : "";
  return line.includes(lab.directory) ? markOf(pid) : null;
}

/** A new random password, in a file that only root reads. */
export async function makePassword(file: string): Promise<void> {
  if (existsSync(file)) return;
  const password = (await output("openssl", ["rand", "-hex", "16"])).trim();
  writeFileSync(file, password, { mode: 0o600 });
  chmodSync(file, 0o600);
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
