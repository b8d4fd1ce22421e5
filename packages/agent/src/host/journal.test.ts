import { maxLogTextChars } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import { lineSplitter, matchesOf, parseEntry } from "./journal.ts";

const entry = (fields: Record<string, unknown>): string =>
  JSON.stringify({ __REALTIME_TIMESTAMP: "1795575199842171", __CURSOR: "s=1;i=6d", ...fields });

describe("an entry of the journal", () => {
  it("has its time to the microsecond, who said it, and what", () => {
    expect(parseEntry(entry({ MESSAGE: "two", SYSLOG_IDENTIFIER: "chronyd", _COMM: "x" }))).toEqual({
      line: { atUs: 1_795_575_199_842_171, from: "chronyd", text: "two" },
      cursor: "s=1;i=6d",
    });
    // dockerd's identifier is the container's id, which says nothing to people.
    const said = entry({ MESSAGE: "x", CONTAINER_NAME: "memcached", SYSLOG_IDENTIFIER: "2f0c" });
    expect(parseEntry(said).line.from).toBe("memcached");
  });

  it.each([
    ["bytes that are no printable text", [101, 27, 91, 51, 49, 109, 114], "e\u001b[31mr"],
    ["bytes that are no UTF-8", [97, 255], "a\ufffd"],
    ["a field that was set twice", ["first", "second"], "first"],
    ["no message at all", undefined, ""],
    ["nothing", null, ""],
  ])("of %s is read", (_, message, text) => {
    expect(parseEntry(entry({ MESSAGE: message })).line).toMatchObject({ text, from: "-" });
  });

  it("that is very long is cut, and says so", () => {
    const { text } = parseEntry(entry({ MESSAGE: "x".repeat(100_000) })).line;
    expect(text.length).toBeLessThan(maxLogTextChars + 20);
    expect(text).toMatch(/x \.\.\. \(cut\)$/);
  });

  it.each(["", "-- No entries --", "null", "{}", '{"__REALTIME_TIMESTAMP":"x","__CURSOR":"c"}'])(
    "is not %j",
    (text) => {
      expect(() => parseEntry(text)).toThrow("no entry");
    },
  );
});

it("lines come whole however the stream is cut, and one that is too long costs no memory", () => {
  const text = "one\n\ntwo-ü\nthis is too long\nlast\nrest";
  const bytes = Buffer.from(text);
  for (let size = 1; size <= bytes.length; size++) {
    const lines: (string | null)[] = [];
    const take = lineSplitter(8, (line) => lines.push(line === null ? null : line.toString("utf8")));
    for (let at = 0; at < bytes.length; at += size) take(bytes.subarray(at, at + size));
    expect(lines, String(size)).toEqual(["one", "", "two-ü", null, "last"]);
  }
});

it("of a container is what dockerd hands on of it, of a unit what it says itself, and of both what systemd says of them", () => {
  expect(
    matchesOf([
      { kind: "container", name: "memcached", unit: "stackctl-memcached.service" },
      { kind: "unit", name: "docker", unit: "docker.service", program: "dockerd" },
      { kind: "unit", name: "chrony", unit: "chrony.service", program: null },
    ]).join(" "),
  ).toBe(
    [
      "_SYSTEMD_UNIT=docker.service CONTAINER_NAME=memcached + _PID=1 UNIT=stackctl-memcached.service",
      "_SYSTEMD_UNIT=docker.service SYSLOG_IDENTIFIER=dockerd + _PID=1 UNIT=docker.service",
      "_SYSTEMD_UNIT=chrony.service + _PID=1 UNIT=chrony.service",
    ].join(" + "),
  );
});
