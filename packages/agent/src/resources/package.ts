import type { Behaviour } from "../engine/resource.ts";
import { installOurs, purgeOurs } from "./own-packages.ts";

/** Keeps packages installed. On removal those go that were not there before, unless another package needs them. */
export const packages: Behaviour<"package"> = {
  read: ({ host }, spec) =>
    Object.fromEntries(
      spec.packages.map((name) => [name, host.packages.installed(name) === null ? null : "installed"]),
    ),
  desired: (spec) => Object.fromEntries(spec.packages.map((name) => [name, "installed"])),
  async apply({ host, doing }, _spec, changes) {
    const names = changes.map(({ field }) => field);
    doing(`installing ${names.join(", ")}`);
    await installOurs(host, names);
  },
  async remove({ host, doing }, { packages: names }) {
    doing(`removing ${names.join(", ")}`);
    await purgeOurs(host, names);
  },
  owns: ({ packages: names }) => names.map((name) => `package:${name}`),
  restarts: () => [],
  disrupts: () => null,
  watch: () => ({ packages: true }),
};
