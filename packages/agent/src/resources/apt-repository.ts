import { hostPaths, type AptRepositorySpec } from "@stackctl/protocol";
import { fileState, fileStateWanted, type Behaviour } from "../engine/resource.ts";

const file = "/etc/apt/sources.list.d/stackctl.sources";
const mode = 0o644;
/** What a Debian installation has for itself, in the old form and in the new one. */
const own = ["/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"] as const;

/** Keeps Debian's packages coming from the cloud's mirror; the host's own sources are set aside. */
export const aptRepository: Behaviour<"apt-repository"> = {
  read: ({ host }) => ({
    ...fileState(host, file),
    ownSources: own.filter((path) => host.files.read(path) !== null).join(", "),
  }),
  desired: (spec) => ({ ...fileStateWanted(render(spec), mode), ownSources: "" }),
  apply({ host }, spec) {
    for (const path of own) {
      const text = host.files.read(path);
      // What was set aside first is the host's own; what appears there later is a local edit.
      if (text !== null && host.files.read(aside(path)) === null)
        host.files.write(aside(path), text, host.files.stat(path)?.mode ?? mode);
    }
    host.files.write(file, render(spec), mode);
    for (const path of own) host.files.remove(path);
    return Promise.resolve();
  },
  remove({ host }) {
    for (const path of own) {
      const text = host.files.read(aside(path));
      if (text === null) continue;
      host.files.write(path, text, host.files.stat(aside(path))?.mode ?? mode);
      host.files.remove(aside(path));
    }
    host.files.remove(file);
    return Promise.resolve();
  },
  restarts: () => [],
  disrupts: () => null,
  watch: () => ({ files: [file, ...own] }),
};

/** Where the host's own file is kept while ours is in force. */
function aside(path: string): string {
  return `${hostPaths.state}/aside${path}`;
}

/** deb822 form of sources.list(5). */
function render({ mirror, securityMirror }: AptRepositorySpec): string {
  const stanza = (uri: string, suites: string): string[] => [
    "Types: deb",
    `URIs: ${uri}`,
    `Suites: ${suites}`,
    "Components: main",
    "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg",
    "",
  ];
  return [
    "# Managed by stackctl. Local edits are reverted.",
    ...stanza(mirror, "bookworm bookworm-updates"),
    ...(securityMirror === null ? [] : stanza(securityMirror, "bookworm-security")),
  ].join("\n");
}
