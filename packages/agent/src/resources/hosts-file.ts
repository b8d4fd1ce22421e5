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
    // Without this file the host would not know itself. 127.0.1.1 is Debian's address of the own name (its reference, 5.1.1).
    host.files.write(file, [...loopback, `127.0.1.1 ${host.system.hostname()}`, ""].join("\n"), mode);
    return Promise.resolve();
  },
  owns: () => [`path:${file}`],
  restarts: () => [],
  disrupts: () => null,
  watch: () => ({ files: [file] }),
};

const loopback = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"] as const;

/** hosts(5). */
function render(entries: HostsFileSpec["entries"]): string {
  return [
    "# Managed by stackctl. Local edits are reverted.",
    ...loopback,
    ...entries.map(({ address, names }) => [address, ...names].join(" ")),
    "",
  ].join("\n");
}
