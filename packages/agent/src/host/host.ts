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
  /** Text of the file; null when there is none. */
  read(path: string): string | null;
  /** Mode bits (such as 0o644) and owner; null when there is no file. */
  stat(path: string): { readonly mode: number; readonly owner: string; readonly group: string } | null;
  /**
   * Replaces the file so that a reader, or a power cut, meets the old or the new text and nothing between:
   * temporary file in the same folder, owner and mode, fsync, rename, fsync of the folder. Makes missing folders (0755).
   * @throws StackctlError `disk_full` when there is no room; the old text is then untouched
   */
  write(path: string, text: string, mode: number): void;
  /** Removes the file; a missing one is fine. */
  remove(path: string): void;
}

/** Debian packages. */
export interface Packages {
  /** Version that dpkg has as `install ok installed`; null otherwise. Reads dpkg's status file, cached by its mtime. */
  installed(name: string): string | null;
  /**
   * Installs packages without recommended ones, in a transient systemd unit that outlives the agent. An
   * interrupted dpkg is completed first. Package lists are refreshed when the sources changed or a package is unknown.
   * @throws StackctlError `package_unavailable`, `packages_unreachable`, `disk_full` or `command_failed`
   */
  install(names: readonly string[]): Promise<void>;
  /** Removes packages with their configuration; missing ones are fine. */
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
  /** Starts it, or stops and starts it when it runs; returns once systemd says that it is active. */
  restart(name: string): Promise<void>;
  stop(name: string): Promise<void>;
}

/** The rest of the machine. */
export interface System {
  /** `/proc/sys/kernel/random/boot_id`. */
  bootId(): string;
  uptimeSeconds(): number;
  /** The live hostname. */
  hostname(): string;
  /** Sets the live hostname; `/etc/hostname` is a file like any other. */
  setHostname(name: string): Promise<void>;
  /** Asks systemd to reboot and returns; the agent is ended by it. */
  reboot(): Promise<void>;
}
