import { hostPaths } from "@stackctl/protocol";
import { keepOurs, readOurs } from "../engine/ours.ts";
import type { Behaviour } from "../engine/resource.ts";

/** Names of the packages that the agent installed and that were not there before, one a line: the ones to take away again. */
const ours = `${hostPaths.state}/installed-packages`;

/** Keeps packages installed. On removal those go that were not there before, unless another package needs them. */
export const packages: Behaviour<"package"> = {
  read: ({ host }, spec) =>
    Object.fromEntries(
      spec.packages.map((name) => [name, host.packages.installed(name) === null ? null : "installed"]),
    ),
  desired: (spec) => Object.fromEntries(spec.packages.map((name) => [name, "installed"])),
  async apply({ host, doing }, _spec, changes) {
    const names = changes.map(({ field }) => field);
    // Noted first: a crash between leaves a name too many, which removal does not mind, and never one too few.
    keepOurs(host, ours, [...readOurs(host, ours), ...names]);
    doing(`installing ${names.join(", ")}`);
    await host.packages.install(names);
  },
  async remove({ host, doing }, { packages: names }) {
    const known = readOurs(host, ours);
    const going = names.filter((name) => known.includes(name));
    if (going.length === 0) return;
    doing(`removing ${going.join(", ")}`);
    await host.packages.purge(going);
    keepOurs(
      host,
      ours,
      known.filter((name) => !going.includes(name)),
    );
  },
  restarts: () => [],
  disrupts: () => null,
  watch: () => ({ packages: true }),
};
