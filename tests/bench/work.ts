import type { Resource } from "@stackctl/protocol";

/**
 * The work of the bench: 40 resources that the product and Ansible both can say, each the way it is said there by who knows
 * the tool. Where Ansible needs two tasks for one resource (a unit's text and state, a group and its user) it has two;
 * where ansible-core has no module (sysctl) it does less than the product: a file, and a handler when that changed.
 */
interface Work {
  readonly resource: Resource;
  readonly tasks: readonly Task[];
}

/** An Ansible task, as YAML that happens to be JSON. */
type Task = Readonly<Record<string, unknown>>;

const owner = { owner: 0, group: 0 } as const;
const places = Array.from({ length: 5 }, (_, index) => `/etc/stackctl-bench-${String(index + 1)}`);
const parameters = {
  "net.ipv4.tcp_fin_timeout": "55",
  "net.ipv4.tcp_keepalive_time": "7100",
  "net.ipv4.tcp_keepalive_intvl": "70",
  "net.ipv4.tcp_keepalive_probes": "8",
  "net.ipv4.tcp_syn_retries": "5",
} as const;

const directories = places.map((path, index): Work => ({
  resource: {
    type: "directory",
    name: `bench-${String(index + 1)}`,
    spec: { path, ...owner, mode: "0755", holdsData: false },
  },
  tasks: [
    { "ansible.builtin.file": { path, state: "directory", mode: "0755", owner: "root", group: "root" } },
  ],
}));

const files = Array.from({ length: 25 }, (_, index): Work => {
  const path = `${places[index % places.length] ?? ""}/file-${String(index + 1)}.conf`;
  const text = `# file ${String(index + 1)}\n${"key = a value that is neither long nor short\n".repeat(8)}`;
  return {
    resource: {
      type: "file",
      name: `bench-${String(index + 1)}`,
      spec: { path, content: [{ text }], ...owner, mode: "0644" },
    },
    tasks: [copy(path, text)],
  };
});

const sysctls = Object.entries(parameters).map(([key, value]): Work => ({
  resource: { type: "sysctl", name: `bench-${key}`, spec: { values: { [key]: value } } },
  tasks: [
    { ...copy(`/etc/sysctl.d/90-stackctl-bench-${key}.conf`, sysctlText(key, value)), notify: "sysctl" },
  ],
}));

const users = [1, 2, 3].map((index): Work => {
  const name = `stackctl-b${String(index)}`;
  const id = 64_800 + index;
  const home = `/var/lib/${name}`;
  const shell = "/usr/sbin/nologin";
  return {
    resource: {
      type: "user",
      name,
      spec: { user: name, uid: id, group: name, gid: id, groups: [], home, shell },
    },
    tasks: [
      { "ansible.builtin.group": { name, gid: id, system: true } },
      {
        "ansible.builtin.user": {
          ...{ name, uid: id, group: name, groups: [], append: false, home, shell },
          ...{ system: true, create_home: false },
        },
      },
    ],
  };
});

const units = [1, 2].map((index): Work => {
  const name = `stackctl-bench-${String(index)}`;
  const unit = `${name}.service`;
  const text = [
    "[Unit]",
    `Description=Bench ${String(index)}`,
    "[Service]",
    ...["Type=oneshot", "RemainAfterExit=yes", "ExecStart=/bin/true"],
    "[Install]",
    "WantedBy=multi-user.target",
    "",
  ].join("\n");
  return {
    resource: {
      type: "systemd-unit",
      name,
      spec: { unit, kind: "unit", text, configuration: [], enabled: true, active: true, cluster: null },
    },
    tasks: [
      { ...copy(`/etc/systemd/system/${unit}`, text), notify: `restart ${unit}` },
      { "ansible.builtin.systemd": { name: unit, enabled: true, state: "started" } },
    ],
  };
});

/** All of it, in the order in which both tools take it. */
export const work: readonly Work[] = [...directories, ...files, ...sysctls, ...users, ...units];

/** The same as a playbook; JSON is YAML. */
export function playbook(): string {
  const handlers: Task[] = [
    { name: "sysctl", "ansible.builtin.command": { argv: ["sysctl", "--system"] } },
    ...units.map(({ resource }) => {
      const unit = `${resource.name}.service`;
      return {
        name: `restart ${unit}`,
        "ansible.builtin.systemd": { name: unit, state: "restarted", daemon_reload: true },
      };
    }),
  ];
  // Without facts: nothing here asks for them, and to gather them would cost Ansible another 2 s.
  const tasks = work.flatMap((each) => each.tasks);
  return JSON.stringify([{ hosts: "all", gather_facts: false, tasks, handlers }], null, 1);
}

/** A shell script that takes all of it away from a host, by whomever it was made; `former` gives the kernel's own values. */
export function removal(former: Readonly<Record<string, string>>): string {
  return [
    "set -e",
    ...units.map(({ resource }) => `systemctl disable --now ${resource.name}.service`),
    "rm -f /etc/systemd/system/stackctl-bench-*.service",
    "systemctl daemon-reload",
    ...users.map(({ resource }) => `userdel ${resource.name}`),
    ...users.map(({ resource }) => `! getent group ${resource.name} || groupdel ${resource.name}`),
    "rm -f /etc/sysctl.d/90-stackctl-bench-*.conf",
    ...Object.entries(former).map(([key, value]) => `sysctl -q -w ${key}=${value}`),
    `rm -r ${places.join(" ")}`,
  ].join("\n");
}

/** The kernel parameters that the work sets. */
export const kernelParameters: readonly string[] = Object.keys(parameters);

/** A shell script that prints whatever of the work is on a host; nothing on a bare one. */
export const traces = [
  "ls -d /etc/stackctl-bench-* /etc/sysctl.d/90-stackctl-bench-* /etc/systemd/system/stackctl-bench-* 2>/dev/null",
  "ls -d /etc/systemd/system/multi-user.target.wants/stackctl-bench-* 2>/dev/null",
  "grep -h '^stackctl-b' /etc/passwd /etc/group",
  "true",
].join("\n");

/** A file of the work, to be edited by hand. */
export const sampleFile = `${places[0] ?? ""}/file-1.conf`;

function copy(dest: string, content: string): Task {
  return { "ansible.builtin.copy": { dest, content, mode: "0644", owner: "root", group: "root" } };
}

/** What the product writes, so that both tools agree on it and either finds nothing to do after the other. */
function sysctlText(key: string, value: string): string {
  return `# Managed by stackctl. Local edits are reverted.\n${key} = ${value}\n`;
}
