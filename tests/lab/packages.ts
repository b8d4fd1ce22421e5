import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hostPaths, type Lab } from "./lab.ts";

/** Runs something while a bare host's apt reaches the lab's packages; its apt is as it was afterwards, but for its lists. */
export async function withPackages<T>(lab: Lab, host: string, work: () => Promise<T>): Promise<T> {
  const etc = join(hostPaths(lab, host).root, "etc/apt");
  const sources = join(etc, "sources.list");
  const own = readFileSync(sources, "utf8");
  const made: string[] = [];
  const put = (path: string, text: string, mode: number): void => {
    made.push(join(etc, path));
    writeFileSync(join(etc, path), text, { mode });
  };
  try {
    if (lab.proxy !== null) {
      const { url, user, passwordFile } = lab.proxy;
      const password = readFileSync(passwordFile, "utf8").trim();
      put("auth.conf.d/99lab.conf", `machine ${url} login ${user} password ${password}\n`, 0o600);
      put("apt.conf.d/99lab", `Acquire::http::Proxy "${url}";\n`, 0o644);
    } else if (lab.mirror !== null) {
      writeFileSync(sources, `deb ${lab.mirror} bookworm main\n`);
    }
    return await work();
  } finally {
    writeFileSync(sources, own);
    for (const path of made) rmSync(path, { force: true });
  }
}
