import type { Behaviour } from "../engine/resource.ts";

/** Sees to it that the host was booted since the order was given; the boot id proves it, so it never happens twice. */
export const reboot: Behaviour<"reboot"> = {
  read: ({ host }, spec) => ({ bootedSince: host.system.bootId() !== spec.notBootId }),
  desired: () => ({ bootedSince: true }),
  async apply({ host, doing, goingDown }) {
    doing("rebooting");
    await goingDown();
    // On a real host this is the last that the agent does; the next boot's agent reads the new boot id.
    await host.system.reboot();
  },
  remove: () => Promise.resolve(),
  owns: () => [],
  restarts: () => ["reboot"],
  disrupts: () => null,
  watch: () => ({}),
};
