import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { output } from "./command.ts";
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
  "/usr/local/sbin/lab-cgroups":
    '#!/bin/sh\nmount -o remount,rw /sys/fs/cgroup\nfor c in /sys/fs/cgroup/*; do mountpoint -q "$c" && mount -o remount,rw "$c"; done\nexit 0\n',
  "/etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
  "/etc/hostname": "debian\n",
  "/etc/resolv.conf": "",
};

/** The folder of a bare Debian 12, made once and kept by content of its recipe. Never half made. */
export async function rootFileSystem(proxy: string, say: (text: string) => void): Promise<string> {
  const recipe = createHash("sha256")
    .update(JSON.stringify([packages, files]))
    .digest("hex")
    .slice(0, 12);
  const folder = join(cacheFolder, "rootfs", recipe);
  if (existsSync(folder)) return folder;
  say("making the root file system (once)");
  mkdirSync(join(cacheFolder, "rootfs"), { recursive: true });
  const half = `${folder}.${String(process.pid)}`;
  await output(
    "env",
    [
      `http_proxy=${proxy}`,
      "debootstrap",
      "--variant=minbase",
      `--include=${packages.join(",")}`,
      "bookworm",
      half,
      "http://deb.debian.org/debian",
    ],
    {
      timeoutMs: 600_000,
    },
  );
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(half, path, ".."), { recursive: true });
    writeFileSync(join(half, path), text, { mode: path.startsWith("/usr/local/sbin") ? 0o755 : 0o644 });
  }
  // systemd makes a machine-id of its own for each host at first boot; ssh host keys are made for each host by the lab.
  writeFileSync(join(half, "etc/machine-id"), "");
  await output("chroot", [
    half,
    "sh",
    "-c",
    "rm -f /etc/ssh/ssh_host_*; systemctl enable lab-cgroups.service ssh.service; systemctl mask systemd-networkd.service systemd-resolved.service systemd-timesyncd.service getty.target console-getty.service",
  ]);
  rmSync(join(half, "var/cache/apt/archives"), { recursive: true, force: true });
  mkdirSync(join(half, "var/cache/apt/archives/partial"), { recursive: true });
  if (existsSync(folder)) rmSync(half, { recursive: true });
  else renameSync(half, folder);
  return folder;
}
