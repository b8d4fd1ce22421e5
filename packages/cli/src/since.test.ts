import { expect, it } from "vitest";
import { sinceMs } from "./since.ts";

process.env["TZ"] = "Europe/Berlin";
const now = Date.parse("2026-01-31T14:00:00.500+01:00");

it.each([
  ["90s", "2026-01-31T13:58:30.500+01:00"],
  ["10m", "2026-01-31T13:50:00.500+01:00"],
  ["2h", "2026-01-31T12:00:00.500+01:00"],
  ["1d", "2026-01-30T14:00:00.500+01:00"],
  ["9:05", "2026-01-31T09:05:00.000+01:00"],
  ["13:59:58", "2026-01-31T13:59:58.000+01:00"],
  ["2026-01-30", "2026-01-30T00:00:00.000+01:00"],
  ["2026-01-30T08:00", "2026-01-30T08:00:00.000+01:00"],
  ["2026-01-30T08:00:00Z", "2026-01-30T09:00:00.000+01:00"],
])("%s is a time in the operator's zone", (text, at) => {
  expect(new Date(sinceMs(text, now)).toISOString()).toBe(new Date(at).toISOString());
});

it.each(["", "yesterday", "10", "10w", "25:00", "12:61", "2026-13-01", "-5m", "5 m"])(
  "%j is no time, and is told what would be one",
  (text) => {
    expect(() => sinceMs(text, now)).toThrow(expect.objectContaining({ code: "usage" }) as Error);
  },
);
