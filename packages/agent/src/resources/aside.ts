import { hostPaths } from "@stackctl/protocol";
import type { Host } from "../host/host.ts";

/** Where the host's own file is kept while ours is in force. */
function asideOf(path: string): string {
  return `${hostPaths.state}/aside${path}`;
}

/** Keeps the host's own file, if it has one, until {@link giveBack}. What was set aside first is its own; what appears there later is a local edit. */
export function setAside({ files }: Host, path: string): void {
  const text = files.read(path);
  if (text !== null && files.read(asideOf(path)) === null)
    files.write(asideOf(path), text, files.stat(path)?.mode ?? 0o644);
}

/**
 * Puts the host's own file back in place of ours. What is set aside stays until {@link forgetAside}, so that whoever is
 * killed in between knows that the file is none of ours any more.
 * @returns false when it had none: then nothing is done
 */
export function giveBack({ files }: Host, path: string): boolean {
  const text = files.read(asideOf(path));
  if (text === null) return false;
  files.write(path, text, files.stat(asideOf(path))?.mode ?? 0o644);
  return true;
}

/** The host has its own file again, for good. */
export function forgetAside({ files }: Host, path: string): void {
  files.remove(asideOf(path));
}

/** True when a file of the host's own is set aside. */
export function isAside({ files }: Host, path: string): boolean {
  return files.read(asideOf(path)) !== null;
}

/** Removes a file of ours, or a folder, and the folders above it, below `root` and that itself, that are empty by then. */
export function removeUpTo({ files }: Host, path: string, root: string, kind: "file" | "folder"): void {
  if (kind === "file") files.remove(path);
  else files.removeFolder(path);
  for (let folder = parent(path); folder.startsWith(root); folder = parent(folder))
    files.removeFolder(folder);
}

/** The root of ours that a path is below; null: it is somewhere else, and the folders above it are not ours. */
export function ourRoot(path: string): string | null {
  return [hostPaths.configuration, hostPaths.data].find((root) => path.startsWith(`${root}/`)) ?? null;
}

function parent(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
