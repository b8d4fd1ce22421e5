import { hostPaths } from "@stackctl/protocol";
import { keepOurs, readOurs } from "../engine/ours.ts";
import type { Host } from "../host/host.ts";

/** Names of the packages that the agent installed and that were not there before, one a line: the ones to take away again. */
const ours = `${hostPaths.state}/installed-packages`;

/** Installs packages and notes those that were not there. */
export async function installOurs(host: Host, names: readonly string[]): Promise<void> {
  const missing = names.filter((name) => host.packages.installed(name) === null);
  // Noted first: a crash between leaves a name too many, which removal does not mind, and never one too few.
  keepOurs(host, ours, [...readOurs(host, ours), ...missing]);
  await host.packages.install(names);
}

/** Takes away those of the packages that were not there before us, unless another package needs them. */
export async function purgeOurs(host: Host, names: readonly string[]): Promise<void> {
  const known = readOurs(host, ours);
  const going = names.filter((name) => known.includes(name));
  if (going.length === 0) return;
  await host.packages.purge(going);
  // What stays, because another resource wants it or another package needs it, is still ours.
  keepOurs(
    host,
    ours,
    known.filter((name) => !going.includes(name) || host.packages.installed(name) !== null),
  );
}
