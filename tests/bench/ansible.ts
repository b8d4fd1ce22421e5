import { spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { output } from "../lab/command.ts";
import type { Lab } from "../lab/lab.ts";
import { playbook } from "./work.ts";

/** Debian's packages, by a file that shows that they are there. */
const tools: Readonly<Record<string, string>> = {
  "/usr/bin/ansible-playbook": "ansible-core",
  "/usr/lib/python3/dist-packages/ansible_mitogen/plugins/strategy/mitogen_linear.py": "ansible-mitogen",
  "/usr/bin/ssh": "openssh-client",
};
const strategies = "/usr/lib/python3/dist-packages/ansible_mitogen/plugins/strategy";

/** The ways in which Ansible is run. */
export type AnsibleWay = "mitogen" | "pipelining";

/** How one run of the playbook went. */
export interface AnsibleRun {
  /** Tasks that changed something, over all hosts. */
  readonly changed: number;
  readonly seconds: number;
}

/** Installs Ansible on this machine when it is missing. */
export async function installAnsible(say: (text: string) => void): Promise<void> {
  const missing = Object.entries(tools).filter(([path]) => !existsSync(path));
  if (missing.length === 0) return;
  const packages = missing.map(([, name]) => name);
  say(`installing ${packages.join(", ")} on this machine`);
  const lock = ["-o", "DPkg::Lock::Timeout=120"];
  await output("apt-get", ["update", "-q", ...lock], { timeoutMs: 300_000, outlives: true });
  await output(
    "env",
    [
      "DEBIAN_FRONTEND=noninteractive",
      ...["apt-get", "install", "-y", "-q", "--no-install-recommends", ...lock, ...packages],
    ],
    { timeoutMs: 600_000, outlives: true },
  );
}

/** Ansible's version with that of mitogen, for people. */
export async function ansibleVersion(): Promise<string> {
  const versions = await output("dpkg-query", [
    "-W",
    "-f",
    "${Package} ${Version}\n",
    "ansible-core",
    "ansible-mitogen",
  ]);
  return versions.trim().replaceAll("\n", ", ");
}

/**
 * Writes inventory, playbook and configuration for a lab's hosts into a folder.
 * @returns runs the playbook
 * @throws Error from a run in which a task failed or a host was not reached
 */
export function ansibleIn(folder: string, lab: Lab): (way: AnsibleWay) => Promise<AnsibleRun> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, "inventory.ini"),
    lab.hosts.map(({ name, management }) => `${name} ansible_host=${management}\n`).join(""),
  );
  writeFileSync(join(folder, "bench.yml"), playbook());
  for (const way of ["mitogen", "pipelining"] as const)
    writeFileSync(join(folder, `${way}.cfg`), settings(folder, lab, way));
  return async (way) => {
    const begun = performance.now();
    const { code, text } = await play(folder, way);
    const seconds = (performance.now() - begun) / 1000;
    const recap = [
      ...text.matchAll(/^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)/gm),
    ];
    const bad = recap.some(([, , , unreachable, failed]) => unreachable !== "0" || failed !== "0");
    if (code !== 0 || bad || recap.length !== lab.hosts.length)
      throw new Error(`ansible-playbook (${way}) ended with ${String(code)}:\n${text.slice(-3000)}`);
    return { changed: recap.reduce((sum, [, , changed]) => sum + Number(changed), 0), seconds };
  };
}

function play(folder: string, way: AnsibleWay): Promise<{ code: number | null; text: string }> {
  const child = spawn("ansible-playbook", ["-i", join(folder, "inventory.ini"), join(folder, "bench.yml")], {
    cwd: folder,
    env: {
      PATH: "/usr/local/bin:/usr/bin:/bin",
      LC_ALL: "C.UTF-8",
      HOME: folder,
      ANSIBLE_CONFIG: join(folder, `${way}.cfg`),
    },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 1_200_000,
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (piece: string) => (text += piece));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      resolve({ code, text });
    });
  });
}

/** As quick as each way gets without touching the playbook: pipelining, kept connections, all hosts at once. */
function settings(folder: string, lab: Lab, way: AnsibleWay): string {
  return [
    "[defaults]",
    "forks = 5",
    "host_key_checking = False",
    "interpreter_python = /usr/bin/python3",
    `remote_user = ${lab.ssh.user}`,
    `remote_port = ${String(lab.ssh.port)}`,
    `private_key_file = ${lab.ssh.privateKey}`,
    `local_tmp = ${join(folder, "tmp")}`,
    "retry_files_enabled = False",
    "nocows = True",
    ...(way === "mitogen" ? [`strategy_plugins = ${strategies}`, "strategy = mitogen_linear"] : []),
    "[ssh_connection]",
    "pipelining = True",
    `ssh_args = -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile=${join(folder, "known_hosts")}`,
    `control_path_dir = ${join(folder, "cp")}`,
    "",
  ].join("\n");
}
