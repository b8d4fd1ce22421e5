import type { Behaviour, State } from "../engine/resource.ts";
import { ourRoot, removeUpTo } from "./aside.ts";
import { modeOf } from "./file.ts";

/** Keeps one folder with its owner and mode; what is in it is left alone. */
export const directory: Behaviour<"directory"> = {
  read({ host }, { path }): State {
    const stat = host.files.stat(path);
    return {
      mode: modeOf(stat?.mode),
      owner: stat === null ? null : `${String(stat.uid)}:${String(stat.gid)}`,
    };
  },
  desired: ({ owner, group, mode }): State => ({ mode, owner: `${String(owner)}:${String(group)}` }),
  apply({ host }, { path, owner, group, mode }) {
    host.files.makeFolder(path, Number.parseInt(mode, 8), { uid: owner, gid: group });
    return Promise.resolve();
  },
  remove({ host }, { path }) {
    // Only an empty one goes: what is in it is data, or not ours.
    removeUpTo(host, path, ourRoot(path) ?? path, "folder");
    return Promise.resolve();
  },
  owns: ({ path }) => [`path:${path}`],
  keeps: ({ host }, { path, holdsData }) => (holdsData && !host.files.isEmpty(path) ? path : null),
  restarts: () => [],
  disrupts: () => null,
  watch: ({ path }) => ({ files: [path] }),
};
