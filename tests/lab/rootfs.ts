import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { markOf, output } from "./command.ts";
import { cacheFolder } from "./lab.ts";

const packages = [
  "systemd",
  "systemd-sysv",
  "dbus",
  "openssh-server",
  "iproute2",
  "ifupdown",
  "ca-certificates",
  "sudo",
  "kmod",
  "procps",
  "iputils-ping",
  "udev",
  "libpam-systemd",
];

/** What a lab host has beyond bare Debian, because of what this machine's kernel is: files and their text. */
const files: Readonly<Record<string, string>> = {
  "/etc/apt/sources.list": [
    "deb http://deb.debian.org/debian bookworm main",
    "deb http://deb.debian.org/debian bookworm-updates main",
    "deb http://deb.debian.org/debian-security bookworm-security main",
    "",
  ].join("\n"),
  // Five hosts share one disk: dpkg's fsyncs would be most of every installation.
  "/etc/dpkg/dpkg.cfg.d/lab": "force-unsafe-io\n",
  // The hosts share the machine's clock, so chronyd must not set it, and its unit's condition on the capability fails.
  "/etc/systemd/system/chrony.service.d/lab.conf":
    "[Unit]\nConditionCapability=\n\n[Service]\nExecStart=\nExecStart=!/usr/sbin/chronyd -x -F 1\nType=forking\n",
  // cgroup v1 arrives read-only; docker and systemd inside want to write their own part.
  "/etc/systemd/system/lab-cgroups.service": [
    "[Unit]",
    "DefaultDependencies=no",
    "Before=sysinit.target",
    "[Service]",
    "Type=oneshot",
    "ExecStart=/usr/local/sbin/lab-cgroups",
    "[Install]",
    "WantedBy=sysinit.target",
    "",
  ].join("\n"),
  "/usr/local/sbin/lab-cgroups": [
    "#!/bin/sh",
    "set -e",
    "mount -o remount,rw /sys/fs/cgroup",
    "for c in /sys/fs/cgroup/*; do",
    "  # Of this mount only (bind): the file system is the machine's, and busy.",
    '  if mountpoint -q "$c"; then mount -o remount,bind,rw "$c"; fi',
    "done",
    "",
  ].join("\n"),
  "/etc/resolv.conf": "",
};

/** What is done inside it at last. */
const setup = [
  ["systemctl", "enable", "lab-cgroups.service", "ssh.service"],
  [
    ...["systemctl", "mask", "systemd-networkd.service", "systemd-resolved.service"],
    ...["systemd-timesyncd.service", "getty.target", "console-getty.service"],
    // Every host hears of every other host's devices: with a dozen hosts, their udevds did nothing but that.
    ...["systemd-udevd.service", "systemd-udevd-kernel.socket", "systemd-udevd-control.socket"],
    ...["systemd-udev-trigger.service", "systemd-udev-settle.service"],
  ],
];

/**
 * The folder of a bare Debian 12, made once and kept by content of its recipe. Never half made: it gets its name last.
 * Under the machine's lock only.
 */
export async function rootFileSystem(proxy: string, say: (text: string) => void): Promise<string> {
  const recipe = createHash("sha256")
    .update(JSON.stringify([packages, files, setup]))
    .digest("hex")
    .slice(0, 12);
  const cache = join(cacheFolder, "rootfs");
  const folder = join(cache, recipe);
  if (existsSync(folder)) return folder;
  say("making the root file system (once)");
  mkdirSync(cache, { recursive: true });
  // What was being made when its maker, whose number ends the name, was killed.
  for (const name of readdirSync(cache)) {
    const [, maker] = name.split(".");
    if (maker !== undefined && markOf(Number(maker)) === null)
      rmSync(join(cache, name), { recursive: true, force: true });
  }
  const half = `${folder}.${String(process.pid)}`;
  await debootstrap(half, proxy, say);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(half, path, ".."), { recursive: true });
    writeFileSync(join(half, path), text, { mode: path.startsWith("/usr/local/sbin") ? 0o755 : 0o644 });
  }
  // Each host gets a machine-id and ssh host keys of its own when it is made.
  writeFileSync(join(half, "etc/machine-id"), "");
  for (const argv of setup) await output("chroot", [half, ...argv]);
  for (const key of readdirSync(join(half, "etc/ssh")))
    if (key.startsWith("ssh_host_")) rmSync(join(half, "etc/ssh", key));
  rmSync(join(half, "var/cache/apt/archives"), { recursive: true, force: true });
  mkdirSync(join(half, "var/cache/apt/archives/partial"), { recursive: true });
  renameSync(half, folder);
  return folder;
}

/** debootstrap's longest phases, by how the first line of each begins. */
const phases: Readonly<Record<string, string>> = {
  "I: Retrieving": "fetching packages",
  "I: Extracting": "unpacking the base",
  "I: Installing core": "installing the core",
  "I: Unpacking the base": "unpacking the rest",
  "I: Configuring the base": "configuring",
};

/** Runs debootstrap so that nothing of it, process or mount, outlives this process, however that ends. */
async function debootstrap(folder: string, proxy: string, say: (text: string) => void): Promise<void> {
  const child = spawn(
    "setpriv",
    [
      "--pdeathsig=KILL",
      ...["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
      ...["debootstrap", "--variant=minbase", `--include=${packages.join(",")}`],
      ...["bookworm", folder, "http://deb.debian.org/debian"],
    ],
    { env: { ...process.env, http_proxy: proxy }, stdio: ["ignore", "pipe", "pipe"], timeout: 600_000 },
  );
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const lines: string[] = [];
  const told = new Set<string>();
  const hear = (line: string): void => {
    lines.push(line);
    const phase = Object.entries(phases).find(([begin]) => line.startsWith(begin))?.[1];
    if (phase === undefined || told.has(phase)) return;
    told.add(phase);
    say(`  ${phase}`);
  };
  createInterface({ input: child.stdout }).on("line", hear);
  createInterface({ input: child.stderr }).on("line", hear);
  const code = await ended;
  if (code !== 0)
    throw new Error(
      `debootstrap ended with ${String(code)}; is deb.debian.org reachable from this machine?\n${lines.slice(-10).join("\n")}`,
    );
}
