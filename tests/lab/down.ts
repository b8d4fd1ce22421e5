import { rmSync } from "node:fs";
import { removeCgroups } from "./cgroup.ts";
import { end, lives, within } from "./command.ts";
import { unmountHost } from "./host.ts";
import { bridgeName, type Lab } from "./lab.ts";
import { hasLink, removeNetworks } from "./network.ts";
import { keeperMark, killHost } from "./power.ts";
import { labsThatAreUp, stopTime, tendSquid } from "./services.ts";

/** Takes a lab away with everything that it put on this machine. Repeatable after any kill. */
export async function down(lab: Lab, say: (text: string) => void): Promise<void> {
  say(`taking down lab ${lab.name}`);
  const keeper = keeperMark(lab);
  await end(keeper, 2000);
  if (!(await within(2000, () => !lives(keeper))))
    throw new Error(`the keeper of lab ${lab.name} does not end`);
  for (const { name } of lab.hosts) {
    await killHost(lab, name);
    await unmountHost(lab, name);
  }
  await stopTime(lab);
  await tendSquid(
    labsThatAreUp((other) => other.name !== lab.name && hasLink(bridgeName(other.name, "management"))),
    false,
  );
  await removeNetworks(lab);
  removeCgroups(lab);
  rmSync(lab.directory, { recursive: true, force: true });
}
