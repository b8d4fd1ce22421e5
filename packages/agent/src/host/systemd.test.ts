import { describe, expect, it } from "vitest";
import { parseUnitStates, together } from "./systemd.ts";

// Captured from systemd 252.
it.each([
  [
    "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNeedDaemonReload=no\nInactiveExitTimestamp=Wed 2026-11-25 02:48:23.123456 UTC\n",
    {
      load: "loaded",
      active: "active",
      file: "enabled",
      stale: false,
      startedMs: Date.UTC(2026, 10, 25, 2, 48, 23, 123),
    },
  ],
  [
    "LoadState=not-found\nActiveState=inactive\nUnitFileState=\nNeedDaemonReload=no\nInactiveExitTimestamp=\n",
    { load: "not-found", active: "inactive", file: "", stale: false, startedMs: null },
  ],
  [
    "LoadState=masked\nActiveState=failed\nUnitFileState=masked\nNeedDaemonReload=yes\n",
    { load: "masked", active: "failed", file: "masked", stale: true, startedMs: null },
  ],
])("reads %j", (text, states) => {
  expect(parseUnitStates(text)).toEqual(states);
});

it.each(["", "Failed to connect to bus\n", "LoadState=loaded\n"])("does not guess from %j", (text) => {
  expect(parseUnitStates(text)).toBeNull();
});

describe("questions of the same moment", () => {
  it("are asked as one, and answered each on its own", async () => {
    const asked: (readonly string[])[] = [];
    const ask = together((names) => {
      asked.push(names);
      return Promise.resolve(names.map((name) => `${name}!`));
    });
    expect(await Promise.all([ask("a"), ask("b"), ask("a")])).toEqual(["a!", "b!", "a!"]);
    expect(await ask("c")).toBe("c!");
    expect(asked).toEqual([["a", "b", "a"], ["c"]]);
  });

  it("all fail when the one fails, and the next ones are asked again", async () => {
    let works = false;
    const ask = together((names) =>
      works ? Promise.resolve(names) : Promise.reject(new Error("no systemd")),
    );
    const ends = await Promise.allSettled([ask("a"), ask("b")]);
    expect(ends.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    works = true;
    expect(await ask("a")).toBe("a");
  });
});
