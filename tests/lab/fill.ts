import { rmSync } from "node:fs";
import { join } from "node:path";
import { output, run } from "./command.ts";
import { hostOf, hostPaths, type Lab } from "./lab.ts";

/** The file that takes all the room; on the host's own disk, so this machine's is not touched. */
function ballast(lab: Lab, host: string, path: string): string {
  return join(hostPaths(lab, host).root, path, ".lab-ballast");
}

/** Fills the host's disk until nothing fits any more. The image is sparse: it costs this machine nothing. */
export async function fill(lab: Lab, host: string, path: string): Promise<void> {
  hostOf(lab, host);
  const file = ballast(lab, host, path);
  const { disk } = hostPaths(lab, host);
  for (;;) {
    const free = Number((await output("df", ["--output=avail", "-B1", disk])).trim().split("\n")[1]);
    const size = Number((await run("stat", ["-c", "%s", file])).stdout.trim() || "0");
    if (free < 8192) return;
    // ext4 keeps a little for its own maps: the last bytes are asked for in smaller and smaller pieces.
    const step = Math.floor(free / 4096) * 4096;
    const { code } = await run("fallocate", ["-o", String(size), "-l", String(step), file]);
    if (
      code !== 0 &&
      (
        await run("fallocate", [
          "-o",
          String(size),
          "-l",
          String(Math.max(4096, Math.floor(step / 2 / 4096) * 4096)),
          file,
        ])
      ).code !== 0
    )
      return;
  }
}

/** Makes room again. */
export function unfill(lab: Lab, host: string, path: string): void {
  hostOf(lab, host);
  rmSync(ballast(lab, host, path), { force: true });
}
