import type { Behaviour } from "../engine/resource.ts";

/** Keeps packages installed. They stay when the resource goes: another may need them. */
export const packages: Behaviour<"package"> = {
  read: ({ host }, spec) =>
    Object.fromEntries(
      spec.packages.map((name) => [name, host.packages.installed(name) === null ? null : "installed"]),
    ),
  desired: (spec) => Object.fromEntries(spec.packages.map((name) => [name, "installed"])),
  async apply({ host, doing }, _spec, changes) {
    const names = changes.map(({ field }) => field);
    doing(`installing ${names.join(", ")}`);
    await host.packages.install(names);
  },
  remove: () => Promise.resolve(),
  restarts: () => [],
  watch: () => ({ packages: true }),
};
