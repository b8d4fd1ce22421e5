import { expect, it } from "vitest";
import { logRemarks, renderLogEntry } from "./logs.ts";

process.env["TZ"] = "UTC";
process.env["NO_COLOR"] = "1";
const now = Date.parse("2026-01-02T00:00:10.000Z");
const at = "2026-01-02T00:00:01.000Z";
const hosts = ["controller1", "c2"];
const line = (text: string): string => renderLogEntry({ at, host: "c2", from: "nova", text }, hosts, now);

it("a line has its time, its host and who said it, in columns", () => {
  expect(line("hello")).toBe("00:00:01 c2          nova: hello");
  expect(line("")).toBe("00:00:01 c2          nova:");
});

it("an entry of several lines is several records", () => {
  expect(line("Traceback\r\n  File x\n")).toBe(
    "00:00:01 c2          nova: Traceback\n00:00:01 c2          nova:   File x",
  );
});

it("what a service writes cannot move, colour or retitle the operator's terminal", () => {
  const hostile = "\u001b[2J\u001b[31mred\u001b[0m \u001b]0;owned\u0007 \u009b31m\u202e\u0008x";
  const shown = line(hostile);
  // eslint-disable-next-line no-control-regex -- they are what it is about
  expect(shown).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  expect(shown).toContain("red");
  expect(renderLogEntry({ at, host: "c2", from: "\u001b[31mx\u0007", text: "y" }, hosts, now)).toBe(
    "00:00:01 c2          x?: y",
  );
});

it("what is not shown is said once, and again when it is another thing", () => {
  const host = (
    problem: string | null,
    dropped = 0,
  ): { host: string; problem: string | null; dropped: number } => ({
    host: "c2",
    problem,
    dropped,
  });
  const off = "is off since 14:02:11";
  expect(logRemarks([], [host(null)])).toEqual([]);
  expect(logRemarks([], [host(off)])).toEqual(["c2 is off since 14:02:11: its lines are not shown"]);
  expect(logRemarks([host(off)], [host(off)])).toEqual([]);
  expect(logRemarks([host(off)], [host(null)])).toEqual(["c2 is shown again"]);
  expect(logRemarks([host(null, 2)], [host(null, 3)])).toEqual([
    "1 line of c2 left out: more came than can be sent",
  ]);
});
