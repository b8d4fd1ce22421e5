import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mark, type Lab } from "./lab.ts";

const controllers = [
  "cpu",
  "cpuacct",
  "cpuset",
  "memory",
  "devices",
  "freezer",
  "blkio",
  "pids",
  "systemd",
  "unified",
];
const top = "/sys/fs/cgroup";

/** The `cgroup.procs` files that a host's first process writes itself into; makes the groups. */
export function makeCgroups(lab: Lab, host: string): string[] {
  return controllers
    .filter((controller) => existsSync(join(top, controller)))
    .map((controller) => {
      const parent = join(top, controller, `lab-${mark(lab.name)}`);
      const folder = join(parent, host);
      mkdirSync(parent, { recursive: true });
      if (controller === "cpuset") {
        // A new cpuset is empty and takes no process; its children take over what it has.
        for (const file of ["cpuset.cpus", "cpuset.mems"])
          writeFileSync(join(parent, file), readFileSync(join(top, controller, file), "utf8"));
        writeFileSync(join(parent, "cgroup.clone_children"), "1");
      }
      mkdirSync(folder, { recursive: true });
      if (controller === "memory")
        writeFileSync(join(folder, "memory.limit_in_bytes"), String(lab.memoryMiB * 1024 * 1024));
      return join(folder, "cgroup.procs");
    });
}

/** Every process in the host's groups. */
export function processesOf(lab: Lab, host: string): number[] {
  const pids = new Set<number>();
  const visit = (folder: string): void => {
    if (!existsSync(folder)) return;
    for (const line of readFileSync(join(folder, "cgroup.procs"), "utf8").split("\n"))
      if (line !== "") pids.add(Number(line));
    for (const entry of readdirSync(folder, { withFileTypes: true }))
      if (entry.isDirectory()) visit(join(folder, entry.name));
  };
  visit(join(top, "systemd", `lab-${mark(lab.name)}`, host));
  visit(join(top, "pids", `lab-${mark(lab.name)}`, host));
  return [...pids];
}

/** CPU time of everything that ran in a host since its groups were made. */
export function cpuSecondsOf(lab: Lab, host: string): number {
  const file = join(top, "cpuacct", `lab-${mark(lab.name)}`, host, "cpuacct.usage");
  return Number(readFileSync(file, "utf8")) / 1e9;
}

/** Removes the lab's groups; they must be empty of processes. Repeatable. */
export function removeCgroups(lab: Pick<Lab, "name">): void {
  const remove = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true }))
      if (entry.isDirectory()) remove(join(folder, entry.name));
    rmdirSync(folder);
  };
  for (const folder of cgroupsOf(lab.name)) remove(folder);
}

/** The lab's top groups that exist. */
export function cgroupsOf(name: string): string[] {
  return controllers
    .map((controller) => join(top, controller, `lab-${mark(name)}`))
    .filter((folder) => existsSync(folder));
}
