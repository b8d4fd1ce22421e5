import type { Behaviour } from "../engine/resource.ts";

/** Sees to it that the host was booted since the order was given; the boot id proves it, so it never happens twice. */
export const reboot: Behaviour<"reboot"> = {
  read: ({ host }, spec) => ({ bootedSince: host.system.bootId() !== spec.notBootId }),
  desired: () => ({ bootedSince: true }),
  async apply({ host, doing, goingDown }) {
    doing("rebooting");
    await goingDown();
    await host.system.reboot();
    // The agent is ended by the reboot; what comes after is the next boot's to do.
    await new Promise<never>(() => undefined);
  },
  remove: () => Promise.resolve(),
  restarts: () => ["reboot"],
  watch: () => ({}),
};
