import { hostPaths } from "../paths.ts";
import { servicePorts } from "../ports.ts";

/** A line that no answer has; it ends each. */
export const factsMark = "--stackctl--";

const portFilter = Object.values(servicePorts)
  .map((port) => `sport = :${String(port)}`)
  .join(" or ");

/** Packages of Debian and of others that stand in the way of ours, or fight with us over the host. */
const strangePackages = [
  ...["docker-ce", "moby-engine", "containerd.io", "podman-docker"],
  ...["salt-minion", "puppet", "puppet-agent", "chef", "cfengine3", "kubelet", "k3s"],
  ...["keystone", "glance-common", "nova-common", "neutron-common", "cinder-common", "placement-common"],
].join(" ");

const strangeUnits = [
  ...["salt-minion", "puppet", "chef-client", "cfengine3", "kubelet", "k3s", "k3s-agent", "rke2-server"],
  ...["keystone", "glance-api", "'nova-*'", "'neutron-*'", "'cinder-*'", "placement-api"],
]
  .map((unit) => `${unit.replace(/'$/, "")}.service${unit.endsWith("'") ? "'" : ""}`)
  .join(" ");

/**
 * What is asked of a host, each a command for a POSIX shell that changes nothing, with what bare Debian 12 has. The
 * names to resolve are the script's arguments; nothing else is ever put into it.
 */
const questions = {
  release: "cat /etc/os-release",
  memory: "cat /proc/meminfo",
  cores: "nproc",
  disk: "df -PB1048576 /var/lib",
  disks: "lsblk -bJo NAME,TYPE,SIZE,RO,FSTYPE,MOUNTPOINT",
  // /sys shows the machine's own NICs even inside a container; ip asks the host's network stack.
  links: "ip -o link show",
  addresses: "ip -o -4 address show",
  // Told apart from those of the host by their hardware addresses. One process, however many NICs there are.
  speeds: "grep -s '' /sys/class/net/*/address /sys/class/net/*/speed",
  bootId: "cat /proc/sys/kernel/random/boot_id",
  architecture: "uname -m",
  hostname: "cat /proc/sys/kernel/hostname",
  kvm: [
    "test -c /dev/kvm && echo device",
    "( : <>/dev/kvm ) && echo opens",
    "grep -m1 -ow -e vmx -e svm /proc/cpuinfo",
    "grep -m1 -ow hypervisor /proc/cpuinfo",
    'for f in /sys/module/kvm_intel/parameters/nested /sys/module/kvm_amd/parameters/nested; do test -r "$f" && echo "nested $(cat "$f")"; done',
  ].join("; "),
  clock: [
    "for u in chrony systemd-timesyncd ntpsec ntp openntpd; do systemctl is-active --quiet $u.service && echo client $u; done",
    "systemctl is-active --quiet chrony.service && timeout 5 chronyc -n -c tracking",
    "systemctl is-active --quiet systemd-timesyncd.service && timeout 5 timedatectl timesync-status && timeout 5 timedatectl show -p NTPSynchronized",
    "{ systemctl is-active --quiet ntp.service || systemctl is-active --quiet ntpsec.service; } && timeout 5 ntpq -pn",
  ].join("; "),
  names: 'for n in "$@"; do { timeout 5 getent ahosts "$n" >/dev/null || echo "$n"; } & done; wait',
  listeners: [
    `ss -Hltnp '( ${portFilter} )'`,
    `for p in $(ss -Hltnp '( ${portFilter} )' | grep -o 'pid=[0-9]*' | cut -c5- | sort -u); do echo "cgroup $p $(tr '\\n' ' ' </proc/$p/cgroup)"; done`,
  ].join("; "),
  containers:
    'command -v docker >/dev/null && timeout 5 docker ps -a --no-trunc --format \'{{.ID}} {{.Names}} {{.State}} stackctl={{.Label "stackctl.spec"}} kolla={{.Label "kolla_version"}}\' && echo complete',
  packages: `dpkg-query -W -f '\${db:Status-Abbrev} \${Package} \${Version}\\n' ${strangePackages}`,
  units: `systemctl list-units --no-legend --plain --state=active ${strangeUnits}`,
  files:
    "for f in /etc/kolla /usr/local/bin/dockerd /snap/bin/docker /usr/local/bin/k3s /etc/rancher /opt/puppetlabs/bin/puppet /opt/saltstack/salt; do test -e $f && echo $f; done",
  // The file holds keys: only the cloud's number leaves it.
  agent: `sed -n 's/.*"cluster":"\\([0-9a-f-]*\\)".*/\\1/p' ${hostPaths.state}/identity.json`,
  // Last: what came before may have taken a while.
  time: "date +%s%3N",
} as const;

/** What is asked, in the order of the answers. */
export type FactsQuestion = keyof typeof questions;

/** The names of the questions, in the order of the script. */
export const factsQuestions = Object.keys(questions) as FactsQuestion[];

/** The script that asks all of it, as root. Its own text is constant: run it as `sh -c SCRIPT facts NAME...`. */
export const factsScript = [
  "export LC_ALL=C.UTF-8",
  ...Object.values(questions).map((question) => `{ ${question}; } 2>/dev/null; echo; echo ${factsMark}`),
].join("\n");
