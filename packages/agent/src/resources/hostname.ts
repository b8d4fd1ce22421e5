import type { Behaviour } from "../engine/resource.ts";

const file = "/etc/hostname";

/** Keeps the host's name, for now and for the next boot. */
export const hostname: Behaviour<"hostname"> = {
  read: ({ host }) => ({ file: host.files.read(file), live: host.system.hostname() }),
  desired: (spec) => ({ file: `${spec.hostname}\n`, live: spec.hostname }),
  async apply({ host }, spec, changes) {
    const fields = changes.map(({ field }) => field);
    if (fields.includes("file")) host.files.write(file, `${spec.hostname}\n`, 0o644);
    if (fields.includes("live")) await host.system.setHostname(spec.hostname);
  },
  // A host always has a name; the one it has is as good as any.
  remove: () => Promise.resolve(),
  restarts: () => [],
  watch: () => ({ files: [file] }),
};
