import type { HostsFileSpec } from "@stackctl/protocol";
import { fileState, fileStateWanted, type Behaviour } from "../engine/resource.ts";

const file = "/etc/hosts";
const mode = 0o644;

/** Keeps the whole of `/etc/hosts`, so that every host knows every other by name. */
export const hostsFile: Behaviour<"hosts-file"> = {
  read: ({ host }) => fileState(host, file),
  desired: (spec) => fileStateWanted(render(spec.entries), mode),
  apply({ host }, spec) {
    host.files.write(file, render(spec.entries), mode);
    return Promise.resolve();
  },
  remove({ host }) {
    // Without this file a host does not know itself.
    host.files.write(file, render([]), mode);
    return Promise.resolve();
  },
  restarts: () => [],
  watch: () => ({ files: [file] }),
};

/** The file's text (hosts(5)). */
function render(entries: HostsFileSpec["entries"]): string {
  return [
    "# Managed by stackctl. Local edits are reverted.",
    "127.0.0.1 localhost",
    "::1 localhost ip6-localhost ip6-loopback",
    ...entries.map(({ address, names }) => [address, ...names].join(" ")),
    "",
  ].join("\n");
}
