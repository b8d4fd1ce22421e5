import type { ImageRecipe, LogLine, LogSource } from "@stackctl/protocol";

/**
 * The only door to the operating system. Resource types are written against it; `linux.ts` is the real one and
 * `testing/fake-host.ts` holds state for unit tests. The same contract suite runs on both.
 */
export interface Host {
  readonly files: Files;
  readonly packages: Packages;
  readonly units: Units;
  readonly accounts: Accounts;
  readonly system: System;
  readonly docker: Docker;
  readonly images: Images;
  readonly journal: Journal;
  readonly database: Database;
  readonly web: Web;
}

/** Files by absolute path. Reading is synchronous: it is quicker, and a pass over all documents stays cheap. */
export interface Files {
  /**
   * Text of the file, following links; null when there is none.
   * @throws StackctlError `file_failed` when it cannot be read, such as a folder of that name
   */
  read(path: string): string | null;
  /** Mode bits (such as 0o644) and owner, by name and number, following links; null when there is no file or folder. */
  stat(path: string): {
    readonly mode: number;
    readonly owner: string;
    readonly group: string;
    readonly uid: number;
    readonly gid: number;
    /** When its content was changed last, Unix milliseconds. */
    readonly modifiedMs: number;
  } | null;
  /**
   * Replaces the file so that a reader, or a power cut, meets the old or the new text and nothing between:
   * temporary file in the same folder, owner root and mode, fsync, rename, fsync of the folder. Makes missing folders
   * (0755; 0700 in the agent's own state). A link of that name is replaced, not followed.
   * @param owner numbers; default: root
   * @throws StackctlError `disk_full` when there is no room, `file_failed` otherwise; the old text is then untouched
   */
  write(path: string, text: string, mode: number, owner?: Owner): void;
  /**
   * Removes the file, and what a killed `write` left beside it; a missing one is fine.
   * @throws StackctlError `file_failed`
   */
  remove(path: string): void;
  /** Makes a folder, and those above it, or gives it this mode and owner. @throws StackctlError `file_failed` */
  makeFolder(path: string, mode: number, owner: Owner): void;
  /** True when there is nothing in a folder, or no folder. @throws StackctlError `file_failed` when it is none */
  isEmpty(path: string): boolean;
  /** Names of the files in a folder, but for what a killed `write` left, sorted; none: no folder. @throws StackctlError `file_failed` */
  list(path: string): readonly string[];
  /** Removes an empty folder; one with something in it, and a missing one, stay as they are. @throws StackctlError `file_failed` */
  removeFolder(path: string): void;
}

/** Numbers of a user and a group. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
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
  /**
   * Removes packages with their configuration, and with what came along only for them; missing ones are fine, and one that
   * another package needs stays.
   */
  purge(names: readonly string[]): Promise<void>;
}

/** What systemd says of a unit. */
export interface UnitStatus {
  readonly active: boolean;
  /** Starts at boot. */
  readonly enabled: boolean;
  /** The unit file exists. */
  readonly known: boolean;
  /** The unit file is another than the one that systemd has read. */
  readonly stale: boolean;
  /** When it was begun to be started last, Unix milliseconds, rounded down; null: not since boot. */
  readonly startedMs: number | null;
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
  /** Starts it when it does not run; returns once systemd says that it is active. @throws StackctlError `command_failed` */
  start(name: string): Promise<void>;
  /** Stops it; one that does not run, or does not exist, is fine. */
  stop(name: string): Promise<void>;
  /** Lets it no longer start at boot; one that does not exist is fine. */
  disable(name: string): Promise<void>;
  /** Lets systemd have a unit's file as it is on the disk. Only of what it knew: a first drop-in in a new folder asks for {@link reload}. */
  load(name: string): Promise<void>;
  /** Reads all unit files anew; a second of a busy host's time. */
  reload(): Promise<void>;
}

/** A user as `/etc/passwd` and `/etc/group` have it. */
export interface Account {
  readonly uid: number;
  /** Name of its main group; its number where that has no name. */
  readonly group: string;
  /** Names of the other groups that it is in, sorted. */
  readonly groups: readonly string[];
  readonly home: string;
  readonly shell: string;
}

/** Users and groups of the host's own files; those that come from elsewhere, such as LDAP, are not seen. */
export interface Accounts {
  /** Null: there is none of that name. */
  user(name: string): Account | null;
  /** The group's number; null: there is none of that name. */
  group(name: string): number | null;
  /** Makes a group, or gives it this number. @throws StackctlError `command_failed` when another one has the number */
  setGroup(name: string, gid: number): Promise<void>;
  /**
   * Makes a user without password and without making its home, or changes it to this. The groups must be there.
   * @throws StackctlError `command_failed`, such as when another one has the number, or its processes run while that changes
   */
  setUser(name: string, account: Account): Promise<void>;
  /** Removes a user, neither its files nor its groups; a missing one is fine. @throws StackctlError `command_failed` when its processes run */
  removeUser(name: string): Promise<void>;
  /** Removes a group; a missing one is fine. @throws StackctlError `command_failed` when it is some user's main group */
  removeGroup(name: string): Promise<void>;
}

/** A container as docker has it. */
export interface ContainerState {
  readonly running: boolean;
  /** Id of its image. */
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** What a container is made with; all of it on the host's network, started and restarted by its unit only. */
export interface ContainerMade {
  /** Id of a local image. */
  readonly image: string;
  readonly command: readonly string[];
  readonly user: string;
  readonly mounts: readonly {
    readonly source: string;
    readonly target: string;
    readonly readOnly: boolean;
  }[];
  readonly tmpfs: readonly { readonly target: string; readonly options: string }[];
  readonly capabilities: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

/** A registry and how it is talked to. */
export interface RegistryAt {
  /** `name:port`; its certificate is for the name. */
  readonly name: string;
  /** Address to connect to; null: what the name resolves to. */
  readonly address: string | null;
  /** PEM; null: the system's authorities. */
  readonly ca: string | null;
  readonly login: { readonly user: string; readonly password: string } | null;
}

/** docker's engine, by its API. @throws StackctlError `docker_unreachable` from each call while dockerd does not answer */
export interface Docker {
  /** Null: there is none of that name. */
  container(name: string): Promise<ContainerState | null>;
  /** Every container, running or not. */
  containers(): Promise<
    readonly { readonly name: string; readonly labels: Readonly<Record<string, string>> }[]
  >;
  /** Names of all volumes. */
  volumes(): Promise<readonly string[]>;
  /** Makes it; does not start it. */
  create(name: string, made: ContainerMade): Promise<void>;
  /** Removes it, running or not; a missing one is fine. */
  remove(name: string): Promise<void>;
  /**
   * Makes it, lets it run to its end and removes it. One of that name that still runs, from a former agent, is waited for
   * first.
   * @param input what it finds on its standard input, and nobody else anywhere; null: nothing
   * @throws StackctlError `command_timeout` when it did not end, and was killed
   */
  run(name: string, made: ContainerMade, input: string | null, seconds: number): Promise<JobEnd>;
  /** True: an image of that id or `name:tag` is here. */
  image(reference: string): Promise<{ readonly id: string } | null>;
  /** Pulls `registry/name@digest`. @returns the image's id @throws StackctlError `image_unavailable` */
  pull(
    registry: string,
    name: string,
    digest: string,
    login: RegistryAt["login"],
    doing: (text: string) => void,
  ): Promise<string>;
  /** Removes an image that nothing uses; others, and missing ones, stay as they are. */
  removeUnused(id: string): Promise<void>;
  /** Images that we made or pulled, by what was put into them when they were made, with all their names. */
  ownImages(): Promise<readonly OwnImage[]>;
  /** Takes a name away, and the image with its last one unless something uses it. A missing one is fine. @returns true when it is gone */
  forget(reference: string): Promise<boolean>;
  /** What all images take on the disk, what they share counted once, in bytes. */
  imageBytes(): Promise<number>;
}

/** How a container that does one thing ended. */
export interface JobEnd {
  readonly code: number;
  /** The end of what it said. */
  readonly output: string;
}

/** An image of ours in docker. */
export interface OwnImage {
  readonly id: string;
  /** Digest of the recipe that it was made by. */
  readonly recipe: string;
  /** `name:tag` and `name@digest`; none: only its id is left. */
  readonly references: readonly string[];
}

/** What an image in a registry is. */
export interface RegistryImage {
  /** Digest of its manifest. */
  readonly digest: string;
  /** Digest of its configuration: its id for docker. */
  readonly id: string;
  /** Of its configuration and its layers as they are stored. */
  readonly sizeBytes: number;
}

/** A tag of an image in a registry. */
export interface RegistryTag {
  readonly name: string;
  readonly tag: string;
  /** Of the manifest. */
  readonly digest: string;
}

/** Images made on this host, and registries. */
export interface Images {
  /** The image of that name and tag in a registry; null: it is not there. @throws StackctlError `registry_unreachable` */
  inRegistry(at: RegistryAt, name: string, tag: string): Promise<RegistryImage | null>;
  /** The id of the image that was made here by this recipe; null: none is here. */
  local(recipe: ImageRecipe): Promise<string | null>;
  /**
   * Makes an image and everything that it is from, out of the cache where that has it; replaces what a killed build left.
   * @returns its id
   * @throws StackctlError `build_failed`, `packages_unreachable`, `disk_full` and others of packages
   */
  build(recipe: ImageRecipe, how: BuildHow): Promise<string>;
  /** Pushes what was made here, unless the registry has it; puts it into the cache, if there is one. */
  push(recipe: ImageRecipe, to: RegistryAt, doing: (text: string) => void): Promise<RegistryImage>;
  /** Copies from the cache to a registry what was made elsewhere of the same recipe and packages; null: it has none. */
  fromCache(recipe: ImageRecipe, to: RegistryAt): Promise<RegistryImage | null>;
  /**
   * Pulls what a registry has of the recipe and names it as if it was made here.
   * @returns its id; null: the registry has none, or does not answer
   */
  take(recipe: ImageRecipe, from: RegistryAt, doing: (text: string) => void): Promise<string | null>;
  /** Every tag of a registry. @throws StackctlError `registry_unreachable`, `registry_refused` */
  tags(at: RegistryAt): Promise<readonly RegistryTag[]>;
  /** Takes a manifest with all its tags out of a registry; its blobs stay until {@link collectGarbage}. A missing one is fine. */
  removeFromRegistry(at: RegistryAt, name: string, digest: string): Promise<void>;
  /**
   * Frees what no manifest of the registry on this host names. It goes on serving; nothing may be pushed to it meanwhile,
   * or that is lost.
   * @returns how many bytes its data is smaller by
   * @throws StackctlError `command_failed`
   */
  collectGarbage(): Promise<number>;
  /** Copies one image between registries; layers that are there already are not sent. */
  copy(from: RegistryAt, to: RegistryAt, name: string, tag: string, digest: string): Promise<void>;
  /** How many builds are worth running at once. */
  readonly parallel: number;
}

/** What a build needs beside its recipe. */
export interface BuildHow {
  /** The recipes of the whole set. */
  readonly set: readonly ImageRecipe[];
  /** Where images of the set may be pulled from instead of made; null: nowhere. */
  readonly registry: RegistryAt | null;
  /** Mirror for debootstrap; null: the host's first one. */
  readonly mirror: string | null;
  /** The packages' proxy as wgetrc lines; null: none. */
  readonly proxy: { readonly url: string; readonly login: RegistryAt["login"] } | null;
  readonly doing: (text: string) => void;
}

/** What is to be read of the journal. */
export interface JournalQuery {
  readonly sources: readonly LogSource[];
  /** How many of the last entries. */
  readonly lines: number;
  /** None before this, Unix microseconds; null: however old. */
  readonly sinceUs: number | null;
  /** Go on with what comes. */
  readonly follow: boolean;
}

/** Who reads. */
export interface JournalReader {
  /** Asked before each entry that comes while following: false, and it is only counted. */
  room(): boolean;
  entry(line: LogLine): void;
  /** An entry there was no room for, or that was too long. */
  dropped(): void;
  /** All that was there when the reading began was handed over. */
  caughtUp(): void;
}

/** The host's journal. Nothing here changes anything. */
export interface Journal {
  /**
   * Hands over the last entries, oldest first, then says so, then, when it follows, those that come, until the signal.
   * Leaves no process behind. @throws StackctlError `command_failed`
   */
  read(query: JournalQuery, reader: JournalReader, signal: AbortSignal): Promise<void>;
}

/** What a member of Galera says of itself. */
export interface Wsrep {
  /** Such as `Synced`. */
  readonly state: string;
  /** It is in the part of the cluster that may serve. */
  readonly primary: boolean;
  /** How many members it sees, itself too. */
  readonly size: number;
  readonly ready: boolean;
  /** Of the cluster. */
  readonly uuid: string;
}

/** What a user of the database may do. */
export interface Grants {
  /** What is kept of its password; null: it has none. */
  readonly hash: string | null;
  /** On everything. */
  readonly privileges: readonly string[];
  /** By database. */
  readonly databases: Readonly<Record<string, readonly string[]>>;
}

/**
 * MariaDB as root, over a socket of this host.
 * @throws StackctlError `database_unreachable` while it does not answer; `database_refused`
 */
export interface Database {
  /** Null: it does not answer. */
  wsrep(socket: string): Promise<Wsrep | null>;
  exists(socket: string, database: string): Promise<boolean>;
  create(socket: string, database: string): Promise<void>;
  /** Null: there is no such user. */
  grants(socket: string, user: string, from: string): Promise<Grants | null>;
  /** Makes a user, or gives it this password, by what is kept of one. */
  setUser(socket: string, user: string, from: string, hash: string): Promise<void>;
  /** @param database null: on everything */
  grant(
    socket: string,
    user: string,
    from: string,
    privilege: string,
    database: string | null,
  ): Promise<void>;
  revoke(
    socket: string,
    user: string,
    from: string,
    privilege: string,
    database: string | null,
  ): Promise<void>;
  /** A missing one is fine. */
  dropUser(socket: string, user: string, from: string): Promise<void>;
  /** The version of a database's schema, as what brought it there wrote it down (alembic, sqlalchemy-migrate); null: it has none. */
  schema(socket: string, database: string): Promise<string | null>;
  /** What is kept of the password of keystone's `admin`, when it is enabled and is admin in the project `admin`; null: it is not. */
  keystoneAdmin(socket: string, database: string): Promise<string | null>;
}

/** One HTTP request. */
export interface WebRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What came back. */
export interface WebAnswer {
  readonly status: number;
  readonly header: (name: string) => string | null;
  readonly text: string;
}

/** HTTP, asked of services of the cloud. */
export interface Web {
  /** Null: no answer came in time. */
  ask(request: WebRequest, timeoutMs: number): Promise<WebAnswer | null>;
}

/** The rest of the machine. */
export interface System {
  /** `/proc/sys/kernel/random/boot_id`. */
  bootId(): string;
  /** Seconds since the host was booted, not since the agent began. */
  uptimeSeconds(): number;
  /** The live hostname. */
  hostname(): string;
  /** True once somebody takes a TCP connection there; false: nobody did within that many seconds. */
  answers(address: string, port: number, seconds: number): Promise<boolean>;
  /** Sets the live hostname; `/etc/hostname` is a file like any other. */
  setHostname(name: string): Promise<void>;
  /** A kernel parameter's value with single spaces, by its name as sysctl(8) writes it; null: the kernel has none. */
  kernelParameter(name: string): string | null;
  /** Sets it live. @throws StackctlError `file_failed` when the kernel has none of that name, or refuses the value */
  setKernelParameter(name: string, value: string): void;
  /**
   * Reboots. On a real host this never returns: the reboot ends the agent.
   * @throws StackctlError `command_failed` when systemd refuses; `command_timeout` when the host is still up 15 minutes later
   */
  reboot(): Promise<void>;
  /**
   * Takes the agent itself away: its unit, its runtime, its state. Returns once systemd has begun with it, which then ends
   * this process and goes on without it. @throws StackctlError `command_failed`
   */
  leave(): Promise<void>;
}
