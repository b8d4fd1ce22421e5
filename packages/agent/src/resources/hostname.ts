import { fileState, fileStateWanted, type Behaviour } from "../engine/resource.ts";

const file = "/etc/hostname";
const mode = 0o644;

/** Keeps the host's name, live and for the next boot. */
export const hostname: Behaviour<"hostname"> = {
  read: ({ host }) => ({ ...fileState(host, file), live: host.system.hostname() }),
  desired: (spec) => ({ ...fileStateWanted(render(spec.hostname), mode), live: spec.hostname }),
  async apply({ host }, spec, changes) {
    host.files.write(file, render(spec.hostname), mode);
    if (changes.some(({ field }) => field === "live")) await host.system.setHostname(spec.hostname);
  },
  // A host always has a name; the one that it has is as good as any.
  remove: () => Promise.resolve(),
  owns: () => ["hostname"],
  restarts: () => [],
  disrupts: () => null,
  watch: () => ({ files: [file] }),
};

/** hostname(5). */
function render(name: string): string {
  return `${name}\n`;
}
