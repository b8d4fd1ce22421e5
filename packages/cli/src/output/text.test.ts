import { stripVTControlCharacters } from "node:util";
import { StackctlError } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import { renderError } from "./errors.ts";
import { clip, duration, harmless, moment, oneLine, pad, table } from "./text.ts";

process.env["TZ"] = "UTC";
const red = (text: string): string => `\u001b[31m${text}\u001b[39m`;

describe("duration", () => {
  it.each([
    [0.42, "0.4 s"],
    [0.04, "0 s"],
    [3, "3 s"],
    [9.97, "10 s"],
    [59.6, "1 m 0 s"],
    [12.4, "12 s"],
    [72, "1 m 12 s"],
    [7380, "2 h 3 m"],
    [200_000, "2 d"],
  ])("%s seconds are %s", (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });
});

describe("moment", () => {
  it("names the day unless it is today, and stays one word", () => {
    const now = Date.parse("2026-01-02T00:00:10.000Z");
    expect(moment("2026-01-02T00:00:01.000Z", now)).toBe("00:00:01");
    expect(moment("2026-01-01T23:59:59.000Z", now)).toBe("2026-01-01T23:59:59");
  });
});

describe("columns", () => {
  it("stand under each other also where a cell has a colour", () => {
    const columns = (rows: string[]): number[] =>
      rows.map((row) => stripVTControlCharacters(row).indexOf("|"));
    expect(
      columns(
        table([
          ["ok", "|"],
          [red("failed"), "|"],
          ["longest", "|"],
        ]),
      ),
    ).toEqual([9, 9, 9]);
    expect(pad(red("ab"), 4)).toBe(`${red("ab")}  `);
  });

  it("are cut where they are too long, and said to be", () => {
    expect(clip("12345", 5)).toBe("12345");
    expect(clip("123456", 5)).toBe("12...");
  });
});

describe("what a host says", () => {
  it("cannot move the cursor, colour, retitle or turn round the operator's terminal", () => {
    const hostile = "\u001b[2J\u001b]0;owned\u0007\r\u009b31m\u202eabc\tx\ny";
    expect(harmless({ list: [hostile], [hostile]: null, n: 1, yes: true })).toEqual({
      list: ["?[2J?]0;owned???31m?abc\tx\ny"],
      "?[2J?]0;owned???31m?abc\tx\ny": null,
      n: 1,
      yes: true,
    });
  });

  it("cannot do so through an error either", () => {
    const error = new StackctlError("command_failed", "apt: \u001b[2Jgone", {
      details: { command: { argv: ["apt"], code: 1, stderr: "\u001b[31mE: x" }, remedy: "\u001b[1mrun it" },
    });
    const { text } = renderError(error);
    expect(text).toContain("E: x");
    for (const moved of ["\u001b[2J", "\u001b[1m", "\u001b[31mE"]) expect(text).not.toContain(moved);
  });

  it("is one line where a line is a record", () => {
    expect(oneLine("first:\n  second\r\n\nthird\n")).toBe("first: second; third");
  });
});
