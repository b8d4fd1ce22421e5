import {
  chmodSync,
  chownSync,
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { hostPaths, StackctlError } from "@stackctl/protocol";
import type { Files, Owner } from "./host.ts";

const root: Owner = { uid: 0, gid: 0 };
const temporaryMark = ".stackctl-tmp";

/** True for the error of a call about something that is not there. */
export function isMissing(error: unknown): boolean {
  return hasCode(error, "ENOENT") || hasCode(error, "ENOTDIR");
}

/**
 * Text of a file, null when there is none.
 * @throws StackctlError `file_failed` when it is there and cannot be read, such as a folder of that name
 */
export function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return null;
    throw fileFailed("read", path, error);
  }
}

/**
 * Replaces a file whole or not at all, owned as asked when the caller is root, on disk when this returns. A process that was
 * killed leaves at most a temporary file beside it, which the next write or removal of the same file sweeps.
 * @throws StackctlError `disk_full` or `file_failed`; the old file is then untouched
 */
export function writeAtomically(path: string, text: string, mode: number, owner: Owner = root): void {
  const folder = dirname(path);
  const temporary = join(folder, `${temporaryPrefix(path)}${String(process.pid)}${temporaryMark}`);
  try {
    makeFolder(folder);
    sweep(path);
    // Readable by nobody else until it is whole; `wx` follows no link that somebody laid there.
    const descriptor = openSync(temporary, "wx", 0o600);
    try {
      writeFileSync(descriptor, text);
      // A folder with the setgid bit would give its own group.
      if (process.getuid?.() === 0) fchownSync(descriptor, owner.uid, owner.gid);
      // On the open file, past any umask, and before anybody can find it by its name.
      fchmodSync(descriptor, mode);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
    syncFolder(folder);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw fileFailed("write", path, error);
  }
}

/**
 * The host's files.
 * @param prefix put before every path; for tests only
 */
export function linuxFiles(prefix = ""): Files {
  const at = (path: string): string => `${prefix}${path}`;
  const users = nameTable("/etc/passwd");
  const groups = nameTable("/etc/group");
  return {
    read: (path) => readOrNull(at(path)),
    stat: (path) => {
      try {
        const { mode, uid, gid, mtimeMs } = statSync(at(path));
        return {
          mode: mode & 0o7777,
          owner: users(uid),
          group: groups(gid),
          uid,
          gid,
          modifiedMs: mtimeMs,
        };
      } catch (error) {
        if (isMissing(error)) return null;
        throw fileFailed("look at", at(path), error);
      }
    },
    write: (path, text, mode, owner) => {
      writeAtomically(at(path), text, mode, owner);
    },
    makeFolder: (path, mode, { uid, gid }) => {
      try {
        makeFolder(at(path));
        if (!statSync(at(path)).isDirectory()) throw new StackctlError("file_failed", `${path} is no folder`);
        if (process.getuid?.() === 0) chownSync(at(path), uid, gid);
        // Last: a change of the owner takes special bits away.
        chmodSync(at(path), mode);
        syncFolder(dirname(at(path)));
      } catch (error) {
        throw fileFailed("make", path, error);
      }
    },
    isEmpty: (path) => {
      try {
        return readdirSync(at(path)).length === 0;
      } catch (error) {
        if (isMissing(error)) return true;
        throw fileFailed("look into", path, error);
      }
    },
    list: (path) => {
      try {
        return readdirSync(at(path))
          .filter((name) => !name.endsWith(temporaryMark))
          .toSorted();
      } catch (error) {
        if (isMissing(error)) return [];
        throw fileFailed("look into", path, error);
      }
    },
    removeFolder: (path) => {
      try {
        rmdirSync(at(path));
        syncFolder(dirname(at(path)));
      } catch (error) {
        if (isMissing(error) || hasCode(error, "ENOTEMPTY")) return;
        throw fileFailed("remove", path, error);
      }
    },
    remove: (path) => {
      try {
        sweep(at(path));
        rmSync(at(path), { force: true });
      } catch (error) {
        throw fileFailed("remove", at(path), error);
      }
    },
  };
}

/** Makes a folder and those above it, 0755 (0700 in the agent's own state) past any umask, and puts their names on disk. */
function makeFolder(folder: string): void {
  const first = mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  const mode = folder === hostPaths.state || folder.startsWith(`${hostPaths.state}/`) ? 0o700 : 0o755;
  for (let made = folder; made.length >= first.length; made = dirname(made)) {
    chmodSync(made, mode);
    syncFolder(dirname(made));
  }
}

/** Puts the names in a folder on disk. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function temporaryPrefix(path: string): string {
  return `.${basename(path)}.`;
}

/** Takes away what killed processes left beside a file. */
function sweep(path: string): void {
  const folder = dirname(path);
  const prefix = temporaryPrefix(path);
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  for (const name of names) {
    if (name.startsWith(prefix) && name.endsWith(temporaryMark)) rmSync(join(folder, name), { force: true });
  }
}

/** Names by number, from passwd(5) or group(5); read again when a number is not known, which then stands for itself. */
function nameTable(file: string): (id: number) => string {
  let names = new Map<number, string>();
  return (id) => {
    if (!names.has(id)) {
      const lines = (readOrNull(file) ?? "").split("\n").filter((line) => line.includes(":"));
      names = new Map(
        lines.map((line) => line.split(":")).map(([name = "", , number = ""]) => [Number(number), name]),
      );
    }
    return names.get(id) ?? String(id);
  };
}

/** True for the error that says that there is no room. */
export function isFull(error: unknown): boolean {
  return hasCode(error, "ENOSPC") || hasCode(error, "EDQUOT");
}

/** The error of a call about a file, as one that people can act on: `disk_full` or `file_failed`; others pass as they are. */
export function fileFailed(verb: string, path: string, error: unknown): unknown {
  if (error instanceof StackctlError || !(error instanceof Error) || !("code" in error)) return error;
  if (isFull(error)) {
    return new StackctlError("disk_full", `no room to ${verb} ${path}`, {
      retryable: true,
      details: { remedy: `make room on the host; see: df -h ${dirname(path)}` },
      cause: error,
    });
  }
  return new StackctlError("file_failed", `cannot ${verb} ${path}: ${error.message}`, {
    details: { remedy: `look at it on the host: ls -ld ${path} ${dirname(path)}` },
    cause: error,
  });
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
