import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostPaths as pathsOnHost } from "@stackctl/protocol";
import { build } from "tsup";
import { unused } from "../../scripts/unused.ts";
import { hostPaths, runOn, type Lab } from "../lab/lab.ts";
import { withPackages } from "../lab/packages.ts";
import type { ClaimResult } from "./host-suite.ts";

/** On a lab host: our own Node with the library that it needs, and what is to be run. */
const folderOnHost = "/opt/stackctl-contract";

/**
 * Runs one file of these tests, bundled, inside a lab host as root, and takes it away again.
 * @param entry path of a TypeScript file on this machine
 * @returns what it wrote to its standard output
 * @throws Error when it did not end with 0, with what it said
 */
async function runInside(
  lab: Lab,
  host: string,
  entry: string,
  args: readonly string[] = [],
  timeoutMs = 600_000,
): Promise<string> {
  const built = mkdtempSync(join(tmpdir(), "stackctl-contract-"));
  const onHost = join(hostPaths(lab, host).root, folderOnHost);
  try {
    await build({
      config: false,
      entry: { script: entry },
      outDir: built,
      format: "cjs",
      platform: "node",
      target: "node26",
      noExternal: [/.*/],
      esbuildPlugins: [unused],
      splitting: false,
      silent: true,
      outExtension: () => ({ js: ".cjs" }),
    });
    mkdirSync(onHost, { recursive: true });
    copyFileSync(process.execPath, join(onHost, "node"));
    copyFileSync(sharedLibrary("libatomic.so.1"), join(onHost, "libatomic.so.1"));
    copyFileSync(join(built, "script.cjs"), join(onHost, "script.cjs"));
    const { code, stdout, stderr } = await runOn(
      lab,
      host,
      [
        "env",
        `LD_LIBRARY_PATH=${folderOnHost}`,
        `${folderOnHost}/node`,
        `${folderOnHost}/script.cjs`,
        ...args,
      ],
      { timeoutMs },
    );
    if (code !== 0)
      throw new Error(`${entry} on ${host} ended with ${String(code)}:\n${stdout.slice(-2000)}${stderr}`);
    return stdout;
  } finally {
    rmSync(built, { recursive: true, force: true });
    rmSync(onHost, { recursive: true, force: true });
  }
}

/** Checks every claim about a host inside a bare lab host, which is as it was afterwards but for its package lists. */
export async function hostContractOn(lab: Lab, host: string): Promise<ClaimResult[]> {
  try {
    const said = await withPackages(lab, host, () =>
      runInside(lab, host, join(import.meta.dirname, "on-host.ts")),
    );
    return JSON.parse(said) as ClaimResult[];
  } finally {
    rmSync(join(hostPaths(lab, host).root, pathsOnHost.state), { recursive: true, force: true });
  }
}

/** The path of a shared library that this Node runs with and a bare Debian lacks. */
function sharedLibrary(name: string): string {
  const { sharedObjects } = process.report.getReport() as { sharedObjects: string[] };
  const found = sharedObjects.find((each) => each.endsWith(`/${name}`));
  if (found === undefined) throw new Error(`this Node runs without ${name}`);
  return found;
}
