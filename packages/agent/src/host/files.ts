import {
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { StackctlError } from "@stackctl/protocol";
import type { Files } from "./host.ts";

const temporaryMark = ".stackctl-tmp";

/** True for the error of a call about something that is not there. */
export function isMissing(error: unknown): boolean {
  return hasCode(error, "ENOENT") || hasCode(error, "ENOTDIR");
}

/** Text of a file, null when there is none. */
export function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/**
 * Replaces a file whole or not at all, on disk when this returns; sweeps what a killed process left beside it.
 * @throws StackctlError `disk_full`; the old file is then untouched
 */
export function writeAtomically(path: string, text: string, mode: number): void {
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true });
  const prefix = `.${basename(path)}.`;
  for (const name of readdirSync(folder)) {
    if (name.startsWith(prefix) && name.endsWith(temporaryMark)) rmSync(join(folder, name), { force: true });
  }
  const temporary = join(folder, `${prefix}${String(process.pid)}${temporaryMark}`);
  try {
    const descriptor = openSync(temporary, "wx", 0o600);
    try {
      writeSync(descriptor, text);
      // The mode is set on the open file, past any umask, and before anybody can find the file by its name.
      fchmodSync(descriptor, mode);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    if (hasCode(error, "ENOSPC") || hasCode(error, "EDQUOT")) {
      throw new StackctlError("disk_full", `no room to write ${path}`, {
        retryable: true,
        details: { remedy: `make room: df -h ${folder}` },
        cause: error,
      });
    }
    throw error;
  }
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * The host's files.
 * @param root prefix of every path; for tests only
 */
export function linuxFiles(root = ""): Files {
  const at = (path: string): string => `${root}${path}`;
  const names = new Map<string, Map<number, string>>();
  const nameOf = (file: string, id: number): string => {
    let known = names.get(file);
    if (known === undefined || !known.has(id)) {
      const lines = (readOrNull(file) ?? "").split("\n").map((line) => line.split(":"));
      known = new Map(lines.map(([name = "", , number = ""]) => [Number(number), name]));
      names.set(file, known);
    }
    return known.get(id) ?? String(id);
  };
  return {
    read: (path) => readOrNull(at(path)),
    stat: (path) => {
      try {
        const { mode, uid, gid } = statSync(at(path));
        return { mode: mode & 0o7777, owner: nameOf("/etc/passwd", uid), group: nameOf("/etc/group", gid) };
      } catch (error) {
        if (isMissing(error)) return null;
        throw error;
      }
    },
    write: (path, text, mode) => {
      writeAtomically(at(path), text, mode);
    },
    remove: (path) => {
      rmSync(at(path), { force: true });
    },
  };
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
