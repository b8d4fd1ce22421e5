import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "tsup";
import { hostPaths, runOn, type Lab } from "../lab/lab.ts";
import type { ClaimResult } from "./host-suite.ts";

/** On a lab host: our own Node with the library that it needs, and what is to be run. */
const folderOnHost = "/opt/stackctl-contract";

/**
 * Runs one file of these tests, bundled, inside a lab host as root, and takes it away again.
 * @param entry path of a TypeScript file on this machine
 * @returns what it wrote to its standard output
 * @throws Error when it did not end with 0, with what it said
 */
export async function runInside(
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

/** Checks every claim of the host contract inside a bare lab host, whose apt must reach a mirror. */
export async function hostContractOn(lab: Lab, host: string): Promise<ClaimResult[]> {
  return JSON.parse(await runInside(lab, host, join(import.meta.dirname, "on-host.ts"))) as ClaimResult[];
}

/** The path of a shared library that this Node runs with and a bare Debian lacks. */
function sharedLibrary(name: string): string {
  const { sharedObjects } = process.report.getReport() as { sharedObjects: string[] };
  const found = sharedObjects.find((each) => each.endsWith(`/${name}`));
  if (found === undefined) throw new Error(`this Node runs without ${name}`);
  return found;
}
