import type { AptRepositorySpec } from "@stackctl/protocol";
import { fileState, fileStateWanted, type Behaviour } from "../engine/resource.ts";

const file = "/etc/apt/sources.list.d/stackctl.sources";
const own = ["/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"] as const;
const empty = "# Set aside by stackctl: see sources.list.d/stackctl.sources\n";
const mode = 0o644;

/** Where the host's own file is kept while ours is in force. */
function aside(path: string): string {
  return `${path}.stackctl-aside`;
}

/** Keeps Debian's packages coming from the cloud's mirror; the host's own sources are set aside. */
export const aptRepository: Behaviour<"apt-repository"> = {
  read: ({ host }) => ({
    ...fileState(host, file),
    ownSources: own.every((path) => [null, empty].includes(host.files.read(path))) ? "set aside" : "in force",
  }),
  desired: (spec) => ({ ...fileStateWanted(render(spec), mode), ownSources: "set aside" }),
  apply({ host }, spec) {
    host.files.write(file, render(spec), mode);
    for (const path of own) {
      const text = host.files.read(path);
      if (text === null || text === empty) continue;
      // apt reads no file of that ending. What was set aside first is the host's own and stays.
      if (host.files.read(aside(path)) === null) host.files.write(aside(path), text, mode);
      host.files.write(path, empty, mode);
    }
    return Promise.resolve();
  },
  remove({ host }) {
    for (const path of own) {
      const text = host.files.read(aside(path));
      if (text === null) continue;
      host.files.write(path, text, mode);
      host.files.remove(aside(path));
    }
    host.files.remove(file);
    return Promise.resolve();
  },
  restarts: () => [],
  watch: () => ({ files: [file, ...own] }),
};

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
