import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { linuxFiles } from "./files.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "stackctl-files-"));
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

const modeOf = (path: string): number => statSync(path).mode & 0o7777;

describe("write", () => {
  it("makes folders that others may enter, whatever the umask", () => {
    const before = process.umask(0o077);
    try {
      linuxFiles(root).write("/etc/new/deep/file", "x", 0o644);
    } finally {
      process.umask(before);
    }
    expect(["etc", "etc/new", "etc/new/deep"].map((each) => modeOf(join(root, each)))).toEqual([
      0o755, 0o755, 0o755,
    ]);
    expect(modeOf(join(root, "etc/new/deep/file"))).toBe(0o644);
  });

  it("sweeps what a killed process left, of this file only", () => {
    writeFileSync(join(root, ".file.77.stackctl-tmp"), "half");
    writeFileSync(join(root, ".other.77.stackctl-tmp"), "half");
    linuxFiles(root).write("/file", "whole", 0o600);
    expect(readdirSync(root).toSorted()).toEqual([".other.77.stackctl-tmp", "file"]);
    linuxFiles(root).remove("/other");
    expect(readdirSync(root)).toEqual(["file"]);
  });

  it("replaces a link instead of writing through it", () => {
    writeFileSync(join(root, "target"), "theirs");
    symlinkSync(join(root, "target"), join(root, "link"));
    linuxFiles(root).write("/link", "ours", 0o644);
    expect(readFileSync(join(root, "target"), "utf8")).toBe("theirs");
    expect(lstatSync(join(root, "link")).isSymbolicLink()).toBe(false);
  });

  it("says what is wrong when a folder has the name, and leaves nothing behind", () => {
    mkdirSync(join(root, "taken"));
    const failed = expect.objectContaining({ code: "file_failed" }) as Error;
    expect(() => {
      linuxFiles(root).write("/taken", "x", 0o644);
    }).toThrow(failed);
    expect(() => linuxFiles(root).read("/taken")).toThrow(failed);
    expect(readdirSync(root)).toEqual(["taken"]);
  });
});

describe("stat", () => {
  it("names the owner, and sees a mode that was changed by hand", () => {
    const files = linuxFiles(root);
    files.write("/file", "x", 0o600);
    chmodSync(join(root, "file"), 0o666);
    expect(files.stat("/file")?.mode).toBe(0o666);
    if (process.getuid?.() === 0) expect(files.stat("/file")).toMatchObject({ owner: "root", group: "root" });
  });
});
