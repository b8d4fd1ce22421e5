import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { completionScripts } from "./scripts.ts";

/** A `stackctl` that says what it was asked and answers with what stands in a file. */
const stand = `#!/bin/bash
printf '%s\\n' "$@" >"$(dirname "$0")/asked"
cat "$(dirname "$0")/answer"
`;

describe("bash", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "stackctl-complete-"));
    writeFileSync(join(folder, "stackctl"), stand, { mode: 0o755 });
    writeFileSync(join(folder, "script"), completionScripts.bash);
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  /** What bash would put in place of the word at the cursor, and the words that `stackctl` was asked with. */
  function press(
    line: string,
    answer: string,
    { command = "stackctl", breaks = ` \t\n"'@><=;|&(:` } = {},
  ): { reply: string[]; asked: string[] } {
    writeFileSync(join(folder, "answer"), answer);
    const test = `source ./script; COMP_LINE=$1 COMP_POINT=\${#1} COMP_WORDBREAKS=$3 _stackctl "$2"; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const text = execFileSync("bash", ["--norc", "-uc", test, "bash", line, command, breaks], {
      cwd: folder,
      env: { PATH: `${folder}:${process.env["PATH"] ?? ""}`, HOME: folder },
      encoding: "utf8",
    });
    const lines = (all: string): string[] => all.replace(/\n$/, "").split("\n");
    return {
      reply: text === "\n" ? [] : lines(text),
      asked: lines(readFileSync(join(folder, "asked"), "utf8")),
    };
  }

  it("hands over the words up to the cursor, and takes those that fit without what they mean", () => {
    expect(press("stackctl --cloud a.yaml pl", "plan\twhat: an apply would change\nother\tno\n")).toEqual({
      reply: ["plan"],
      asked: ["complete", "--", "--cloud", "a.yaml", "pl"],
    });
  });

  it("hands over an empty word when a new one begins", () => {
    expect(press("stackctl render ", "c1\t\nc2\t\n")).toEqual({
      reply: ["c1", "c2"],
      asked: ["complete", "--", "render", ""],
    });
  });

  it("gives only what comes after the last @, where bash breaks words there", () => {
    const answer = "chrony/chrony@compute1\t\n";
    expect(press("stackctl why chrony/chrony@comp", answer).reply).toEqual(["compute1"]);
    expect(press("stackctl why chrony/chrony@comp", answer, { breaks: " \t\n" }).reply).toEqual([
      "chrony/chrony@compute1",
    ]);
  });

  it("starts the program that was typed, after whatever stands before it", () => {
    const { reply } = press("NO_COLOR=1 ./stackctl st", "status\t\n", { command: "./stackctl" });
    expect(reply).toEqual(["status"]);
  });

  it("evaluates nothing that was typed, and nothing that it was told", () => {
    const evil = join(folder, "evil");
    press(`stackctl why $(touch ${evil}) \`touch ${evil}\``, `$(touch ${evil})\t$(touch ${evil})\n`);
    press("stackctl why ", `$(touch ${evil})\t\n`);
    expect(existsSync(evil)).toBe(false);
  });

  it("says nothing when nothing is known, and leaves files to bash", () => {
    expect(press("stackctl nonsense ", "").reply).toEqual([]);
    expect(press("stackctl --cloud ", ":files\n").reply).toEqual([]);
  });
});
