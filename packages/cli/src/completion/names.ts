import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { namesView, type NamesView } from "@stackctl/protocol";
import { findPlace } from "../place.ts";
import { askBundle } from "../server-bundle.ts";
import { serverBundle } from "../server-process.ts";

/** Whoever presses tab waits for it. */
const askMs = 10_000;

const nothing: NamesView = { hosts: [], services: [], secrets: [], resources: {} };

/**
 * The names that a cloud's file gives, without any server. They are kept in the server's home, where there is one, until
 * the file changes. Of a file that is just being edited and is not right, those of before; never an error.
 * @param cloud what was given for `--cloud`, as it was typed
 */
export async function cloudNames(cloud: string | undefined): Promise<NamesView> {
  const { cloudFile, home } = findPlace(cloud?.replace(/^~(?=\/)/, homedir()));
  const file = join(home, "names.json");
  const kept = readKept(file);
  try {
    const stamp = [cloudFile, serverBundle].map(stampOf).join(" ");
    if (kept?.stamp === stamp) return kept.names;
    const names = namesView.parse(await askBundle(["names", "--cloud", cloudFile], { timeoutMs: askMs }));
    if (existsSync(home)) writeFileSync(file, JSON.stringify({ stamp, names }), { mode: 0o600 });
    return names;
  } catch {
    // No file, or one that is no cloud: nothing is to be said in the middle of a line that somebody types.
    return kept?.names ?? nothing;
  }
}

function readKept(file: string): { readonly stamp: string; readonly names: NamesView } | null {
  try {
    const kept = JSON.parse(readFileSync(file, "utf8")) as { stamp: string; names: unknown };
    return { stamp: kept.stamp, names: namesView.parse(kept.names) };
  } catch {
    // None, or one that another version wrote or a kill cut short: it is made anew.
    return null;
  }
}

function stampOf(file: string): string {
  const { mtimeMs, size } = statSync(file);
  return `${file} ${String(mtimeMs)}-${String(size)}`;
}
