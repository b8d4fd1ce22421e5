/**
 * The only door to the operating system. Resource types are written against it; `linux.ts` is the real one and
 * `testing/fake-host.ts` holds state for unit tests. The same contract suite runs on both.
 */
export interface Host {
  readonly files: Files;
  readonly packages: Packages;
  readonly units: Units;
  readonly system: System;
}

/** Files by absolute path. Reading is synchronous: it is quicker, and a pass over all documents stays cheap. */
export interface Files {
  /**
   * Text of the file, following links; null when there is none.
   * @throws StackctlError `file_failed` when it cannot be read, such as a folder of that name
   */
  read(path: string): string | null;
  /** Mode bits (such as 0o644) and owner, following links; null when there is no file. */
  stat(path: string): { readonly mode: number; readonly owner: string; readonly group: string } | null;
  /**
   * Replaces the file so that a reader, or a power cut, meets the old or the new text and nothing between:
   * temporary file in the same folder, owner root and mode, fsync, rename, fsync of the folder. Makes missing folders
   * (0755; 0700 in the agent's own state). A link of that name is replaced, not followed.
   * @throws StackctlError `disk_full` when there is no room, `file_failed` otherwise; the old text is then untouched
   */
  write(path: string, text: string, mode: number): void;
  /**
   * Removes the file, and what a killed `write` left beside it; a missing one is fine.
   * @throws StackctlError `file_failed`
   */
  remove(path: string): void;
}

/** Debian packages. */
export interface Packages {
  /** Version that dpkg has fully installed; null otherwise. Reads dpkg's status file, cached until that changes. */
  installed(name: string): string | null;
  /**
   * Installs packages without recommended ones, in a transient systemd unit that outlives the agent. An
   * interrupted dpkg is completed first. Package lists are refreshed when the sources changed, a package is unknown or
   * the mirror has the listed version no more. Configuration files that were edited stay as they are.
   * @throws StackctlError `package_unavailable`, `packages_unreachable`, `disk_full`, `command_failed` or `command_timeout`
   */
  install(names: readonly string[]): Promise<void>;
  /** Removes packages with their configuration; missing ones are fine, and one that another package needs stays. */
  purge(names: readonly string[]): Promise<void>;
}

/** What systemd says of a unit. */
export interface UnitStatus {
  readonly active: boolean;
  /** Starts at boot. */
  readonly enabled: boolean;
  /** The unit file exists. */
  readonly known: boolean;
}

/** systemd units. */
export interface Units {
  status(name: string): Promise<UnitStatus>;
  /** Makes it start at boot; does not start it now. */
  enable(name: string): Promise<void>;
  /**
   * Starts it, or stops and starts it when it runs; returns once systemd says that it is active.
   * @throws StackctlError `command_failed` when it does not start, with where to read why
   */
  restart(name: string): Promise<void>;
  /** Stops it; one that does not run, or does not exist, is fine. */
  stop(name: string): Promise<void>;
}

/** The rest of the machine. */
export interface System {
  /** `/proc/sys/kernel/random/boot_id`. */
  bootId(): string;
  /** Seconds since the host was booted, not since the agent began. */
  uptimeSeconds(): number;
  /** The live hostname. */
  hostname(): string;
  /** Sets the live hostname; `/etc/hostname` is a file like any other. */
  setHostname(name: string): Promise<void>;
  /**
   * Reboots. On a real host this never returns: the reboot ends the agent.
   * @throws StackctlError `command_failed` when systemd refuses; `command_timeout` when the host is still up 15 minutes later
   */
  reboot(): Promise<void>;
}
