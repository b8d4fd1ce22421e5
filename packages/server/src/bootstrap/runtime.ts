import { createHash } from "node:crypto";
import {
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import {
  agentUnit,
  releasePieceBytes,
  StackctlError,
  version,
  type ReleaseFile,
  type ReleaseManifest,
} from "@stackctl/protocol";
import { agentUnitFile } from "./unit.ts";

/** One file that is pushed, compressed once and kept by content. */
export interface RuntimeFile extends ReleaseFile {
  /** gzip of it, on this machine. */
  readonly archive: string;
}

/** What is pushed to a host: our own Node, the agent and its unit. */
export interface Runtime {
  /** Folder under `/opt/stackctl/releases`: the version and the start of the files' digest. */
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
  const files = [node, library, agent, await unit(options.cacheDir)];
  const mark = createHash("sha256");
  for (const { sha256 } of files) mark.update(sha256);
  return { release: `${version}-${mark.digest("hex").slice(0, 8)}`, files };
}

/** What is said of a runtime to a host before it is sent. */
export function manifestOf({ release, files }: Runtime): ReleaseManifest {
  return { release, version, files: files.map(withoutArchive) };
}

function withoutArchive({ name, sha256, sizeBytes, archiveBytes }: RuntimeFile): ReleaseFile {
  return { name, sha256, sizeBytes, archiveBytes };
}

/** The runtime that a manifest is of; null when a file of it is in `cacheDir` no more. */
export function runtimeOf({ release, files }: ReleaseManifest, cacheDir: string): Runtime | null {
  const found = files.map((file) => ({ ...file, archive: archivePath(file.name, file.sha256, cacheDir) }));
  return found.every(({ archive }) => existsSync(archive)) ? { release, files: found } : null;
}

/** The piece of a file's archive that begins at `offset`. */
export function archivePiece(file: RuntimeFile, offset: number): Buffer {
  const descriptor = openSync(file.archive, "r");
  try {
    const piece = Buffer.alloc(Math.min(releasePieceBytes, file.archiveBytes - offset));
    return piece.subarray(0, readSync(descriptor, piece, 0, piece.length, offset));
  } finally {
    closeSync(descriptor);
  }
}

async function unit(cacheDir: string): Promise<RuntimeFile> {
  const plain = join(cacheDir, `${agentUnit}.${String(process.pid)}`);
  writeFileSync(plain, agentUnitFile(), { mode: 0o600 });
  try {
    return await compressed(agentUnit, plain, cacheDir);
  } finally {
    rmSync(plain);
  }
}

function archivePath(name: RuntimeFile["name"], sha256: string, cacheDir: string): string {
  return join(cacheDir, `${name}-${sha256.slice(0, 16)}.gz`);
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
  const archive = archivePath(name, sha256, cacheDir);
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
  return { name, archive, sha256, sizeBytes: statSync(file).size, archiveBytes: statSync(archive).size };
}

/** The compressed file as a stream. */
export function openArchive(file: RuntimeFile): ReturnType<typeof createReadStream> {
  return createReadStream(file.archive, { highWaterMark: 1 << 18 });
}
