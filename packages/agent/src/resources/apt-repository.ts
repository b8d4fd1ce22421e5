import type { AptRepositorySpec } from "@stackctl/protocol";
import { fileState, fileStateWanted, type Behaviour } from "../engine/resource.ts";
import { forgetAside, giveBack, setAside } from "./aside.ts";

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
    for (const path of own) setAside(host, path);
    host.files.write(file, render(spec), mode);
    for (const path of own) host.files.remove(path);
    return Promise.resolve();
  },
  remove({ host }) {
    for (const path of own) if (giveBack(host, path)) forgetAside(host, path);
    host.files.remove(file);
    return Promise.resolve();
  },
  owns: () => [file, ...own].map((path) => `path:${path}`),
  restarts: () => [],
  disrupts: () => null,
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
