import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { removeCgroups } from "./cgroup.ts";
import { end, output } from "./command.ts";
import { cutTables } from "./cut.ts";
import { unmountHost } from "./host.ts";
import { labName, labsFolder, readLab, type Lab } from "./lab.ts";
import { locked } from "./lock.ts";
import { labsThatAreUp, removeNetworks } from "./network.ts";
import { keeperMarks, killHost } from "./power.ts";
import { tendSquid } from "./proxy.ts";
import { stopTime } from "./time.ts";

/**
 * Takes a lab away with everything that it put on this machine but the caches; what its hosts held is lost.
 * False when there was none of that name. Repeatable after any kill, also of itself.
 */
export async function down(name: string, say: (text: string) => void): Promise<boolean> {
  return locked("machine", `down of lab ${name}`, say, () => takeDown(name, say));
}

/** {@link down} for who holds the machine's lock already. */
export async function takeDown(name: string, say: (text: string) => void): Promise<boolean> {
  const directory = join(labsFolder, labName(name));
  if (!existsSync(directory)) return false;
  // Written before anything else of a lab is made, and of all that a lab is only its folder goes after it.
  if (existsSync(join(directory, "lab.json"))) {
    say(`taking down lab ${name}`);
    await dismantle(readLab(name));
  }
  if (readFileSync("/proc/self/mounts", "utf8").includes(` ${directory}/`))
    throw new Error(`something is still mounted below ${directory}; see: findmnt -R ${directory}`);
  rmSync(directory, { recursive: true, force: true });
  return true;
}

async function dismantle(lab: Lab): Promise<void> {
  // First, or it would start its hosts again.
  for (const keeper of keeperMarks(lab)) await end(keeper, 2000);
  await Promise.all(
    lab.hosts.map(async ({ name }) => {
      await killHost(lab, name);
      await unmountHost(lab, name);
    }),
  );
  await stopTime(lab);
  await tendSquid(labsThatAreUp().filter((other) => other.name !== lab.name));
  for (const table of await cutTables(lab.name)) await output("nft", ["delete", "table", "netdev", table]);
  await removeNetworks(lab);
  removeCgroups(lab);
}
