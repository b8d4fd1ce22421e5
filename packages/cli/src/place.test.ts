import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findPlace } from "./place.ts";

const before = process.cwd();
let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "stackctl-place-")));
  process.chdir(folder);
});
afterEach(() => {
  process.chdir(before);
  rmSync(folder, { recursive: true });
});

describe("the cloud that a command is about", () => {
  it("is the one here, with its home beside it", () => {
    writeFileSync("cloud.yaml", "");
    expect(findPlace(undefined, {})).toEqual({
      cloudFile: join(folder, "cloud.yaml"),
      home: join(folder, ".stackctl"),
    });
  });

  it("is the one that --cloud names, wherever it is", () => {
    expect(findPlace("other/c.yaml", {})).toEqual({
      cloudFile: join(folder, "other/c.yaml"),
      home: join(folder, "other/.stackctl"),
    });
  });

  it("has its home where STACKCTL_HOME says, unless that is empty", () => {
    expect(findPlace("c.yaml", { STACKCTL_HOME: "there" }).home).toBe(join(folder, "there"));
    expect(findPlace("c.yaml", { STACKCTL_HOME: "" }).home).toBe(join(folder, ".stackctl"));
  });

  it("is the installed one when it is named, with the installed home", () => {
    expect(findPlace("/etc/stackctl/cloud.yaml", {}).home).toBe("/var/lib/stackctl");
  });
});
