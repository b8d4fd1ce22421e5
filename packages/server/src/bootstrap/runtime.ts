import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { StackctlError, version } from "@stackctl/protocol";

/** One file that is pushed, compressed once and kept by content. */
export interface RuntimeFile {
  /** Its name in the release's folder. */
  readonly name: "node" | "libatomic.so.1" | "agent.cjs";
  /** gzip of it, on this machine. */
  readonly archive: string;
  /** SHA-256 of the file itself, hex. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** What is pushed to a host: our own Node and the agent. */
export interface Runtime {
  /** Folder under `/opt/stackctl/releases`: the version and the start of the bundle's digest. */
  readonly release: string;
  readonly files: readonly RuntimeFile[];
}

/** Prepares the files in `cacheDir`; quick when they are there. @throws StackctlError `push_failed` when the agent is not built */
export async function runtimeArchive(options: {
  readonly node: string;
  readonly agentBundle: string;
  readonly cacheDir: string;
}): Promise<Runtime> {
  if (!existsSync(options.agentBundle)) {
    throw new StackctlError("push_failed", `the agent's bundle ${options.agentBundle} is missing`, {
      details: { remedy: "npm run build" },
    });
  }
  mkdirSync(options.cacheDir, { recursive: true, mode: 0o700 });
  const agent = await compressed("agent.cjs", options.agentBundle, options.cacheDir);
  const node = await compressed("node", options.node, options.cacheDir);
  const library = await compressed("libatomic.so.1", loadedLibrary("libatomic.so.1"), options.cacheDir);
  const mark = createHash("sha256").update(node.sha256).update(agent.sha256).digest("hex").slice(0, 8);
  return { release: `${version}-${mark}`, files: [node, library, agent] };
}

/** The path of a shared library that this very Node runs with; Node needs it, and bare Debian does not have it. */
function loadedLibrary(name: string): string {
  const { sharedObjects } = process.report.getReport() as { sharedObjects: string[] };
  const path = sharedObjects.find((each) => each.endsWith(`/${name}`));
  if (path === undefined)
    throw new StackctlError("push_failed", `this Node runs without ${name}`, {
      details: { remedy: "npm run build" },
    });
  return path;
}

async function compressed(name: RuntimeFile["name"], file: string, cacheDir: string): Promise<RuntimeFile> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  const sha256 = hash.digest("hex");
  const archive = join(cacheDir, `${name}-${sha256.slice(0, 16)}.gz`);
  if (!existsSync(archive)) {
    const half = `${archive}.${String(process.pid)}`;
    // Level 4 costs a third of level 9's time for a few percent of size.
    await pipeline(
      createReadStream(file, { highWaterMark: 1 << 20 }),
      createGzip({ level: 4 }),
      createWriteStream(half, { mode: 0o600 }),
    );
    renameSync(half, archive);
  }
  return { name, archive, sha256, sizeBytes: statSync(file).size };
}

/** The compressed file as a stream. */
export function openArchive(file: RuntimeFile): ReturnType<typeof createReadStream> {
  return createReadStream(file.archive, { highWaterMark: 1 << 18 });
}
