import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseDpkgStatus, problemOf } from "./apt.ts";

/** What apt-get 2.6.1 said on Debian 12, one file per case. */
function captured(name: string): string {
  return readFileSync(join(import.meta.dirname, "fixtures", `${name}.txt`), "utf8");
}

describe("problemOf", () => {
  it.each([
    ["disk-full", "disk_full", "no room to install packages"],
    ["proxy-refuses-password", "packages_unreachable", "the proxy refuses the password"],
    ["proxy-down", "packages_unreachable", /Could not connect to 10\.21\.0\.1:3999.*Connection refused/],
    ["name-not-resolved", "packages_unreachable", /Temporary failure resolving 'deb\.debian\.org'/],
    ["no-mirror-there", "packages_unreachable", /nosuch\/dists\/bookworm\/InRelease {2}400/],
    ["no-release-there", "packages_unreachable", /^this is no mirror of Debian 12: .*nosuch/],
    ["unknown-package", "package_unavailable", "the mirror has no package stackctl-nosuch"],
    ["outdated-lists", "package_outdated", /libjq1_1\.6.*404/],
  ] as const)("knows %s", (name, kind, text) => {
    const problem = problemOf(captured(name));
    expect(problem.kind).toBe(kind);
    expect(problem.text).toMatch(text);
    expect(problem.remedy).not.toBeNull();
  });

  it.each([
    ["E: Package 'nova-volume' has no installation candidate", "package_unavailable", /nova-volume$/],
    [
      "E: Release file for http://m/InRelease is not valid yet (invalid for another 3h).",
      "packages_unreachable",
      /clock/,
    ],
    ["E: You don't have enough free space in /var/cache/apt/archives/.", "disk_full", /no room/],
    ["E: There were unauthenticated packages and -y was used", "package_outdated", /signature/],
  ] as const)("knows %s", (output, kind, text) => {
    expect(problemOf(`Reading package lists...\n${output}\n`)).toMatchObject({
      kind,
      text: expect.stringMatching(text) as string,
    });
  });

  it("makes no guess at what it does not know", () => {
    const output =
      "Setting up x (1.0) ...\ndpkg: error processing package x (--configure):\n exit status 1\n";
    expect(problemOf(output)).toEqual({ kind: "other", text: "", remedy: null });
  });
});

describe("parseDpkgStatus", () => {
  it("tells what is installed from what is half there or left over", () => {
    const block = (name: string, status: string, more = ""): string =>
      `Package: ${name}\nStatus: ${status}\nVersion: 1:2.3-4\n${more}Description: x\n Status: install ok installed\n`;
    const entries = parseDpkgStatus(
      [
        block("good", "install ok installed"),
        block("held", "hold ok installed"),
        block("half", "install reinstreq half-installed"),
        block("unpacked", "install ok unpacked"),
        block("gone", "deinstall ok config-files"),
        block("both", "install ok installed", "Architecture: amd64\n"),
        block("both", "deinstall ok config-files", "Architecture: i386\n"),
        "",
      ].join("\n"),
    );
    expect(Object.fromEntries([...entries].map(([name, { state }]) => [name, state]))).toEqual({
      good: "installed",
      held: "installed",
      half: "half-installed",
      unpacked: "unpacked",
      gone: "config-files",
      both: "installed",
    });
    expect(entries.get("good")?.version).toBe("1:2.3-4");
  });
});
