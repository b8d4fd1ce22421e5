import { existsSync, watch, type FSWatcher } from "node:fs";
import { basename, dirname } from "node:path";
import type { Watched } from "../engine/resource.ts";

/**
 * systemd keeps a symlink here for every unit that runs and removes it when the unit stops (systemd's
 * unit_export_invocation_id, v252): inotify on it tells starts and stops without a bus and without polling.
 */
const runningUnits = "/run/systemd/units";
const packageStatus = "/var/lib/dpkg/status";

/** Something on the host changed that may be drift; `why` is for people. */
export type Noticed = (why: string) => void;

/** Watches what resources depend on. Says nothing of who did it: most of what it notices is our own doing. */
export class Watcher {
  readonly #noticed: Noticed;
  readonly #unwatched: (folder: string, why: string) => void;
  readonly #watchers = new Map<string, { watcher: FSWatcher; names: Map<string, string> }>();

  /** @param unwatched told of a folder that cannot be watched now, and why */
  constructor(noticed: Noticed, unwatched: (folder: string, why: string) => void) {
    this.#noticed = noticed;
    this.#unwatched = unwatched;
  }

  /** Watches exactly this from now on. */
  set(watched: readonly Watched[]): void {
    const folders = new Map<string, Map<string, string>>();
    const add = (path: string, why: string): void => {
      const folder = dirname(path);
      const names = folders.get(folder) ?? new Map<string, string>();
      names.set(basename(path), why);
      folders.set(folder, names);
    };
    for (const { files = [], units = [], packages = false } of watched) {
      for (const file of files) add(file, `${file} changed on the host`);
      for (const unit of units)
        add(`${runningUnits}/invocation:${unit}`, `${unit} was stopped or started on the host`);
      if (packages) add(packageStatus, "packages were installed or removed on the host");
    }
    for (const [folder, { watcher }] of this.#watchers) {
      if (folders.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    for (const [folder, names] of folders) {
      const known = this.#watchers.get(folder);
      if (known !== undefined) known.names = names;
      else this.#watch(folder, names);
    }
  }

  close(): void {
    for (const { watcher } of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #watch(folder: string, names: Map<string, string>): void {
    // A folder that comes later is found by the slow pass, which arms the watches again.
    if (!existsSync(folder)) return;
    const heard = (name: string | null): void => {
      const why =
        name === null ? `${folder} changed on the host` : this.#watchers.get(folder)?.names.get(name);
      if (why !== undefined) this.#noticed(why);
    };
    let watcher: FSWatcher;
    try {
      // Folders are watched, not files: an editor replaces a file by another of its name.
      watcher = watch(folder, (_event, name) => {
        heard(name);
      });
    } catch (error) {
      // The kernel has no more watches to give (inotify(7), EMFILE and ENOSPC): the slow pass still looks, and arms again.
      if (!(
        error instanceof Error &&
        "code" in error &&
        (error.code === "EMFILE" || error.code === "ENOSPC")
      ))
        throw error;
      this.#unwatched(folder, error.message);
      return;
    }
    const entry = { names, watcher };
    entry.watcher.on("error", () => {
      entry.watcher.close();
      this.#watchers.delete(folder);
    });
    this.#watchers.set(folder, entry);
  }
}
