import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeHost } from "@stackctl/agent/testing/fake-host.ts";
import { linuxHost } from "@stackctl/agent/host/linux.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hostClaims } from "./host-suite.ts";

describe("the fake host", () => {
  it.each(hostClaims)("$about: $claim", async ({ check }) => {
    const host = new FakeHost();
    const before = host.snapshot();
    await check(host);
    expect(host.snapshot()).toEqual(before);
  });
});

// Elsewhere a file could not be root's. The whole contract runs on a real host in the end-to-end tests.
describe.runIf(process.getuid?.() === 0)("the real files, below a folder", () => {
  let root = "";
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "stackctl-files-"));
    mkdirSync(join(root, "var/tmp"), { recursive: true });
  });
  afterEach(() => {
    rmSync(root, { recursive: true, force: true });
  });

  it.each(hostClaims.filter(({ about }) => about === "files"))("$claim", ({ check }) =>
    check(linuxHost({ root })),
  );
});
