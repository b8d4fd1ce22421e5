import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { cgroupsOf } from "./cgroup.ts";
import { output, processesWith, readProc } from "./command.ts";
import { cutTables } from "./cut.ts";
import { labsFolder, mark } from "./lab.ts";
import { isKeeper } from "./power.ts";
import { labsThatAreUp } from "./network.ts";
import { squidRuns } from "./proxy.ts";

/**
 * Everything that a lab of this name has left on the machine: processes, mounts, namespaces, links, packet filters, loop
 * devices, cgroups, its folder, and a squid that no lab needs. Empty after a `down`; the caches may stay.
 */
export async function leftovers(name: string): Promise<string[]> {
  const folder = join(labsFolder, name);
  const mine = (text: string): boolean => text.includes(`${folder}/`);
  const processes = processesWith((argv) => mine(argv.join(" ")) || isKeeper(argv, name)).map(
    ({ pid }) =>
      `process ${pid}: ${readProc(`${String(pid)}/cmdline`)
        .replaceAll("\0", " ")
        .slice(0, 100)}`,
  );
  const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n").filter(mine);
  const namespaces = existsSync("/run/netns") ? readdirSync("/run/netns") : [];
  const ours = new RegExp(`^lab-${name}-(controller|compute)\\d+$`);
  const links = readdirSync("/sys/class/net").filter((link) => new RegExp(`^l[bv]${mark(name)}`).test(link));
  const loops = (await output("losetup", ["--list", "--noheadings", "--output", "NAME,BACK-FILE"]))
    .split("\n")
    .filter(mine);
  return [
    ...processes,
    ...mounts.map((line) => `mount ${line}`),
    ...namespaces.filter((each) => ours.test(each)).map((each) => `namespace ${each}`),
    ...links.map((link) => `link ${link}`),
    ...(await cutTables(name)).map((table) => `packet filter ${table}`),
    ...loops.map((line) => `loop ${line}`),
    ...cgroupsOf(name).map((group) => `cgroup ${group}`),
    ...(existsSync(folder) ? [`folder ${folder}`] : []),
    ...(labsThatAreUp().length === 0 && squidRuns() ? ["squid, though no lab is up"] : []),
  ];
}
