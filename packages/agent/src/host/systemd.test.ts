import { expect, it } from "vitest";
import { parseUnitStates } from "./systemd.ts";

// Captured from systemd 252.
it.each([
  [
    "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n",
    { load: "loaded", active: "active", file: "enabled" },
  ],
  [
    "LoadState=not-found\nActiveState=inactive\nUnitFileState=\n",
    { load: "not-found", active: "inactive", file: "" },
  ],
  [
    "LoadState=masked\nActiveState=failed\nUnitFileState=masked\n",
    { load: "masked", active: "failed", file: "masked" },
  ],
])("reads %j", (text, states) => {
  expect(parseUnitStates(text)).toEqual(states);
});

it.each(["", "Failed to connect to bus\n", "LoadState=loaded\n"])("does not guess from %j", (text) => {
  expect(parseUnitStates(text)).toBeNull();
});
