import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { output } from "./command.ts";
import {
  cacheFolder,
  hostOf,
  hostPaths,
  machineName,
  namespaceName,
  networkNames,
  type Lab,
  type LabHost,
} from "./lab.ts";

/** The size of a host's own disk, sparse: it costs what is written. */
const diskGiB = 60;

/** Folders of a host that need a real file system below them, not an overlay. */
const realFolders = ["/var/lib/docker", "/var/lib/containerd", "/bricks"];

/** Images that were built in any lab, by what they were made of; hosts see it under the same path. */
const imageCache = join(cacheFolder, "images");

/** Makes a host's disk, its root over the bare file system, and all that makes it itself. Repeatable. */
export async function makeHost(lab: Lab, host: LabHost, rootfs: string): Promise<void> {
  const paths = hostPaths(lab, host.name);
  mkdirSync(paths.disk, { recursive: true });
  mkdirSync(paths.root, { recursive: true });
  if (!existsSync(paths.image)) {
    const half = `${paths.image}.half`;
    rmSync(half, { force: true });
    await output("truncate", ["-s", `${String(diskGiB)}G`, half]);
    await output("mkfs.ext4", ["-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", half]);
    await output("mv", [half, paths.image]);
  }
  mkdirSync(imageCache, { recursive: true });
  if (!isMounted(paths.disk)) await output("mount", ["-o", "loop,noatime", paths.image, paths.disk]);
  for (const folder of ["upper", "work", ...realFolders.map((each) => `real${each}`)])
    mkdirSync(join(paths.disk, folder), { recursive: true });
  if (!isMounted(paths.root)) {
    const layers = `lowerdir=${rootfs},upperdir=${join(paths.disk, "upper")},workdir=${join(paths.disk, "work")}`;
    await output("mount", ["-t", "overlay", "-o", layers, "overlay", paths.root]);
  }
  const put = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(join(paths.root, path, ".."), { recursive: true });
    rmSync(join(paths.root, path), { force: true });
    writeFileSync(join(paths.root, path), text, { mode });
    chmodSync(join(paths.root, path), mode);
  };
  if (existsSync(join(paths.root, "etc/ssh/ssh_host_ed25519_key"))) return;
  // A new machine: what its installer would have set.
  put("/etc/hostname", "debian\n");
  put("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 debian\n::1 localhost ip6-localhost ip6-loopback\n");
  // Not left to the first boot: systemd would take the one that debootstrap made for D-Bus, the same for every host.
  put("/etc/machine-id", `${randomBytes(16).toString("hex")}\n`, 0o444);
  rmSync(join(paths.root, "var/lib/dbus/machine-id"), { force: true });
  symlinkSync("/etc/machine-id", join(paths.root, "var/lib/dbus/machine-id"));
  put("/etc/network/interfaces", interfaces(lab, host));
  put("/etc/ssh/sshd_config.d/lab.conf", sshdConfiguration(lab));
  for (const folder of [...realFolders, imageCache]) mkdirSync(join(paths.root, folder), { recursive: true });
  const publicKey = readFileSync(`${lab.ssh.privateKey}.pub`, "utf8");
  if (lab.ssh.user === "root") {
    mkdirSync(join(paths.root, "root/.ssh"), { recursive: true, mode: 0o700 });
    put("/root/.ssh/authorized_keys", publicKey, 0o600);
  } else {
    const { user } = lab.ssh;
    const known = new RegExp(`^${user}:`, "m").test(readFileSync(join(paths.root, "etc/passwd"), "utf8"));
    if (!known)
      await output("chroot", [paths.root, "useradd", "--create-home", "--shell", "/bin/bash", user]);
    put(`/etc/sudoers.d/${user}`, `${user} ALL=(ALL) NOPASSWD: ALL\n`, 0o440);
    put(`/home/${user}/.ssh/authorized_keys`, publicKey, 0o600);
    await output("chroot", [paths.root, "chown", "-R", `${user}:${user}`, `/home/${user}/.ssh`]);
  }
  // The ed25519 key comes last: it says that the host is made.
  await output("chroot", [paths.root, "ssh-keygen", "-A"]);
}

/** How a host is started: nspawn's arguments. */
export function nspawnArguments(lab: Lab, host: string): string[] {
  const paths = hostPaths(lab, host);
  const binds = realFolders.map((folder) => `--bind=${join(paths.disk, `real${folder}`)}:${folder}`);
  const devices = ["/dev/fuse", "/dev/net/tun", "/dev/kvm"]
    .filter((device) => existsSync(device))
    .map((device) => `--bind=${device}`);
  hostOf(lab, host);
  return [
    "--quiet",
    "--register=no",
    "--keep-unit",
    "--boot",
    `--machine=${machineName(lab.name, host)}`,
    "-D",
    paths.root,
    `--network-namespace-path=/run/netns/${namespaceName(lab.name, host)}`,
    "--capability=all",
    "--drop-capability=CAP_SYS_TIME",
    "--system-call-filter=add_key keyctl bpf perf_event_open",
    "--resolv-conf=off",
    "--timezone=off",
    "--link-journal=no",
    "--console=pipe",
    ...binds,
    // What one lab has built, the next one finds.
    `--bind=${imageCache}`,
    ...devices,
  ];
}

/** Takes a host's file systems away; the host must be off. Repeatable. */
export async function unmountHost(lab: Lab, host: string): Promise<void> {
  const paths = hostPaths(lab, host);
  for (const folder of [paths.root, paths.disk]) {
    while (isMounted(folder)) await output("umount", ["-R", folder]);
  }
}

/** True when something is mounted exactly there. */
function isMounted(folder: string): boolean {
  return readFileSync("/proc/self/mounts", "utf8").includes(` ${folder} `);
}

function interfaces(lab: Lab, host: LabHost): string {
  const blocks = networkNames.map((network) => {
    const { cidr, interface: name, gateway } = lab.networks[network];
    return [
      `auto ${name}`,
      `iface ${name} inet static`,
      `    address ${host[network]}/${cidr.split("/")[1] ?? "24"}`,
      ...(network === "public" ? [`    gateway ${gateway}`] : []),
    ].join("\n");
  });
  return `${["auto lo\niface lo inet loopback", ...blocks].join("\n\n")}\n`;
}

function sshdConfiguration(lab: Lab): string {
  return [
    `Port ${String(lab.ssh.port)}`,
    `PermitRootLogin ${lab.ssh.user === "root" ? "prohibit-password" : "no"}`,
    "PasswordAuthentication no",
    "UseDNS no",
    "",
  ].join("\n");
}
