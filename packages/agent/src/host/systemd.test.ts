import { expect, it } from "vitest";
import { parseUnitStates } from "./systemd.ts";

// Captured from systemd 252.
it.each([
  [
    "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNeedDaemonReload=no\n",
    { load: "loaded", active: "active", file: "enabled", stale: false },
  ],
  [
    "LoadState=not-found\nActiveState=inactive\nUnitFileState=\nNeedDaemonReload=no\n",
    { load: "not-found", active: "inactive", file: "", stale: false },
  ],
  [
    "LoadState=masked\nActiveState=failed\nUnitFileState=masked\nNeedDaemonReload=yes\n",
    { load: "masked", active: "failed", file: "masked", stale: true },
  ],
])("reads %j", (text, states) => {
  expect(parseUnitStates(text)).toEqual(states);
});

it.each(["", "Failed to connect to bus\n", "LoadState=loaded\n"])("does not guess from %j", (text) => {
  expect(parseUnitStates(text)).toBeNull();
});
