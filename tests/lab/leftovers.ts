import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { cgroupsOf } from "./cgroup.ts";
import { output } from "./command.ts";
import { labsFolder, mark } from "./lab.ts";

/** Everything that a lab of this name has left on the machine: processes, mounts, namespaces, links, loop devices, cgroups. */
export async function leftovers(name: string): Promise<string[]> {
  const folder = join(labsFolder, name);
  const found: string[] = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    const file = `/proc/${entry}/cmdline`;
    const line = existsSync(file) ? readFileSync(file, "utf8").replaceAll("\0", " ") : "";
    if (line.includes(`${folder}/`) || line.includes(`keeper.ts ${name} `))
      found.push(`process ${entry}: ${line.slice(0, 100)}`);
  }
  for (const line of readFileSync("/proc/self/mounts", "utf8").split("\n"))
    if (line.includes(`${folder}/`)) found.push(`mount ${line}`);
  const namespaces = existsSync("/run/netns") ? readdirSync("/run/netns") : [];
  for (const each of namespaces) if (each.startsWith(`lab-${name}-c`)) found.push(`namespace ${each}`);
  for (const each of readdirSync("/sys/class/net"))
    if (new RegExp(`^l[bv]${mark(name)}`).test(each)) found.push(`link ${each}`);
  for (const line of (await output("losetup", ["-a"])).split("\n"))
    if (line.includes(`${folder}/`)) found.push(`loop ${line}`);
  for (const each of cgroupsOf(name)) found.push(`cgroup ${each}`);
  if (existsSync(folder)) found.push(`folder ${folder}`);
  return found;
}
