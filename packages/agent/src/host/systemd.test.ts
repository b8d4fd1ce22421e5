import { expect, it } from "vitest";
import { parseUnitStates } from "./systemd.ts";

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
