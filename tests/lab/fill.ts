import { existsSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { output, run } from "./command.ts";
import { hostOf, hostPaths, type Lab } from "./lab.ts";

const blockBytes = 4096;

/**
 * Fills the disk that a host's folder is on until not one block is left, for root too. Every folder of a host is on its
 * one disk, but for what it mounts itself. Blocks are only set aside, so it costs this machine nothing.
 * @throws Error when there is no such folder
 */
export async function fill(lab: Lab, host: string, path: string): Promise<void> {
  const file = ballast(lab, host, path);
  const { disk } = hostPaths(lab, host);
  const freeBytes = async (): Promise<number> =>
    Number((await output("df", ["--output=avail", "-B1", disk])).trim().split("\n")[1]);
  // ext4 keeps a little for its own maps: the last blocks are asked for in smaller and smaller pieces.
  for (let step = await freeBytes(); step >= blockBytes; step = Math.floor(step / 2)) {
    const length = Math.floor(step / blockBytes) * blockBytes;
    let size = existsSync(file) ? statSync(file).size : 0;
    while ((await run("fallocate", ["-o", String(size), "-l", String(length), file])).code === 0) {
      size += length;
    }
  }
  const left = await freeBytes();
  if (left > 64 * blockBytes)
    throw new Error(`${host}'s disk does not fill up: ${String(left)} bytes are left on it`);
}

/** Makes room again. Repeatable. */
export function unfill(lab: Lab, host: string, path: string): void {
  rmSync(ballast(lab, host, path), { force: true });
}

/** The file that takes all the room; on the host's own disk, so this machine's is not touched. */
function ballast(lab: Lab, host: string, path: string): string {
  hostOf(lab, host);
  const folder = join(hostPaths(lab, host).root, path);
  if (!path.startsWith("/") || path.split("/").includes("..") || !existsSync(folder))
    throw new Error(`${host} has no folder ${path}; give one that is there, such as /var/lib`);
  return join(folder, ".lab-ballast");
}
