import { createHash, randomUUID } from "node:crypto";
import { StackctlError, type ImageRecipe, type LogLine } from "@stackctl/protocol";
import type {
  Account,
  Accounts,
  ContainerMade,
  Database,
  Docker,
  Files,
  Host,
  Images,
  Journal,
  JobEnd,
  JournalReader,
  Packages,
  RegistryAt,
  RegistryImage,
  System,
  Units,
  Web,
  WebAnswer,
  WebRequest,
  Wsrep,
} from "../host/host.ts";

/** A file of a {@link FakeHost}. */
export interface FakeFile {
  readonly text: string;
  readonly mode: number;
  readonly owner: string;
  readonly group: string;
}

/** A unit of a {@link FakeHost}. */
export interface FakeUnit {
  active: boolean;
  enabled: boolean;
  /** How often it was started; a test proves with it that a restart happened. */
  starts: number;
  /** What its main file held when it was last started, for units named in {@link FakePackage}; of others, their text. */
  startedWith: string | null;
  startedMs: number | null;
  /** The unit file as systemd has read it; null: the package's own. */
  file: string | null;
  /** What drop-ins add to it, as systemd has read them; null: nothing, and then it does not notice when there are some. */
  added: string | null;
}

const newUnit: FakeUnit = {
  active: false,
  enabled: false,
  starts: 0,
  startedWith: null,
  startedMs: null,
  file: null,
  added: null,
};

/** A clock that goes on with every look, so that nothing happens at the same time. */
function makeClock(): () => number {
  let ms = 0;
  return () => (ms += 1);
}

/** Files by path, with when each was last written or edited. */
class FakeFiles extends Map<string, FakeFile> {
  readonly #modified = new Map<string, number>();
  #clock: () => number = () => 0;

  /** From now on: what was there before is as old as can be. */
  start(clock: () => number): this {
    this.#clock = clock;
    return this;
  }

  override set(path: string, file: FakeFile): this {
    this.#modified.set(path, this.#clock());
    return super.set(path, file);
  }

  modifiedMs(path: string): number {
    return this.#modified.get(path) ?? 0;
  }
}

const unitFolder = "/etc/systemd/system/";

/** What a package brings when it is installed, as far as a test cares. */
export interface FakePackage {
  readonly version: string;
  /** Configuration files; one that is there already stays. */
  readonly files?: Readonly<Record<string, string>>;
  /** Units, enabled and started as Debian does, each with the file that it reads at its start. */
  readonly units?: Readonly<Record<string, { readonly reads: string }>>;
}

/** All that lasts on a {@link FakeHost}. */
export interface Snapshot {
  readonly files: Readonly<Record<string, FakeFile>>;
  readonly folders: Readonly<Record<string, NonNullable<ReturnType<Files["stat"]>>>>;
  readonly packages: Readonly<Record<string, string>>;
  readonly units: Readonly<Record<string, { readonly active: boolean; readonly enabled: boolean }>>;
  readonly hostname: string;
  readonly containers: Readonly<Record<string, FakeContainer>>;
  readonly users: Readonly<Record<string, Account>>;
  readonly groups: Readonly<Record<string, number>>;
  readonly kernelParameters: Readonly<Record<string, string>>;
  readonly databases: readonly string[];
  readonly databaseUsers: Readonly<Record<string, FakeDatabaseUser>>;
  readonly schemas: Readonly<Record<string, string>>;
  readonly keystoneAdmin: string | null;
}

/** A user of the database of a {@link FakeHost}. */
export interface FakeDatabaseUser {
  hash: string;
  /** As `PRIVILEGE on database`, or on nothing in particular: `PRIVILEGE`. */
  readonly rights: Set<string>;
}

/** A container of a {@link FakeHost}; its unit is the one that names it. */
export interface FakeContainer {
  readonly made: ContainerMade;
  running: boolean;
}

function bareFiles(): FakeFiles {
  const files = new FakeFiles();
  for (const [path, text] of Object.entries({
    "/etc/hostname": "debian\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
    "/etc/apt/sources.list": "deb http://deb.debian.org/debian bookworm main\n",
  }))
    files.set(path, { text, mode: 0o644, owner: "root", group: "root" });
  return files;
}

/** What a mutating call was, such as `files.write /etc/hosts`. */
type Mutation = string;

/**
 * A host in memory: files, packages, units and the rest as plain maps that a test may read and edit. It knows nothing of
 * how tools behave beyond what the contract suite proves of real hosts too.
 */
export class FakeHost implements Host {
  readonly #clock = makeClock();
  /** A bare Debian's, as far as resources care. */
  readonly contents: FakeFiles = bareFiles().start(this.#clock);
  /** Folders that were made on purpose; those above a file need not be. */
  readonly folders = new Map<string, NonNullable<ReturnType<Files["stat"]>>>();
  /** Installed packages with their versions. */
  readonly installed = new Map<string, string>();
  readonly unitStates = new Map<string, FakeUnit>();
  /** What the mirror has. */
  readonly mirror = new Map<string, FakePackage>([
    [
      "chrony",
      {
        version: "4.3-2",
        files: { "/etc/chrony/chrony.conf": "pool 2.debian.pool.ntp.org iburst\n" },
        units: { "chrony.service": { reads: "/etc/chrony/chrony.conf" } },
      },
    ],
    ["tree", { version: "2.1.0-1" }],
    ["jq", { version: "1.6-2" }],
    [
      "docker.io",
      {
        version: "20.10.24",
        units: {
          "docker.service": { reads: "/etc/docker/daemon.json" },
          "docker.socket": { reads: "/etc/docker/daemon.json" },
        },
      },
    ],
  ]);
  readonly containers = new Map<string, FakeContainer>();
  readonly users = new Map<string, Account>([
    ["root", { uid: 0, group: "root", groups: [], home: "/root", shell: "/bin/bash" }],
  ]);
  readonly groups = new Map<string, number>([
    ["root", 0],
    ["adm", 4],
    ["users", 100],
  ]);
  readonly kernelParameters = new Map<string, string>([
    ["net.ipv4.ip_forward", "0"],
    ["net.ipv4.ip_local_port_range", "32768 60999"],
    ["net.ipv4.tcp_fin_timeout", "60"],
  ]);
  /** Names of docker's volumes. */
  readonly volumes = new Set<string>();
  /** Ids of images that are here. */
  readonly imageIds = new Set<string>();
  /** Images in registries, by `address or name/name:tag`. */
  readonly registryImages = new Map<string, RegistryImage>();
  /** Images that we made, with their names. */
  readonly ownImages: { id: string; recipe: string; references: readonly string[] }[] = [];
  /** What no manifest of the registry here names. */
  garbageBytes = 0;
  /** Names of databases. */
  readonly databases = new Set<string>();
  /** Users of the database by `user@from`. */
  readonly databaseUsers = new Map<string, FakeDatabaseUser>();
  /** What the member of Galera says, one answer after the other; the last one stays. None: it does not answer. */
  readonly wsrep: (Wsrep | null)[] = [];
  /** Versions of databases' schemas. */
  readonly schemas = new Map<string, string>();
  /** What keystone keeps of its admin's password; null: there is no admin. */
  keystoneAdmin: string | null = null;
  /** What a container does that runs to its end, and how that is. */
  job: (made: ContainerMade, input: string | null) => JobEnd = () => ({ code: 0, output: "" });
  /** What answers HTTP; null: nobody. */
  answer: (request: WebRequest) => WebAnswer | null = () => null;
  /** Ports that somebody answers at. */
  readonly answering = new Set<number>();
  /** What was said, oldest first, and the container or unit that said it. */
  readonly journalEntries: { readonly by: string; readonly line: LogLine }[] = [];
  /** Who follows the journal just now. */
  readonly journalReaders = new Set<(by: string, line: LogLine) => void>();
  liveHostname = "debian";
  currentBootId: string = randomUUID();
  /** Every mutating call that took effect, in order; a test says with it that nothing happened. */
  readonly mutations: Mutation[] = [];
  /** The method, such as `units.restart`, whose next call fails with `injected failure` and no effect. */
  failOn: string | null = null;
  #callsUntilCrash: number | null = null;
  #crashed = false;

  /** After `n` mutating calls have taken effect, that call and every later one throw, as if the agent was killed. */
  crashAfter(n: number): void {
    this.#callsUntilCrash = n;
  }

  /** The agent is started again after a crash; the host is as it was left. */
  recover(): void {
    this.#callsUntilCrash = null;
    this.#crashed = false;
  }

  /** Somebody on the host restarts a unit. */
  restartByHand(name: string): void {
    this.#start(name, this.#unit(name));
  }

  /** All that lasts, to compare before and after; not the mutations, nor how often units were started. */
  snapshot(): Snapshot {
    return structuredClone({
      files: Object.fromEntries([...this.contents].toSorted(byName)),
      folders: Object.fromEntries([...this.folders].toSorted(byName)),
      packages: Object.fromEntries([...this.installed].toSorted(byName)),
      units: Object.fromEntries(
        [...this.unitStates]
          .toSorted(byName)
          .map(([name, { active, enabled }]) => [name, { active, enabled }]),
      ),
      hostname: this.liveHostname,
      containers: Object.fromEntries([...this.containers].toSorted(byName)),
      users: Object.fromEntries([...this.users].toSorted(byName)),
      groups: Object.fromEntries([...this.groups].toSorted(byName)),
      kernelParameters: Object.fromEntries(this.kernelParameters),
      databases: [...this.databases].toSorted(),
      databaseUsers: Object.fromEntries([...this.databaseUsers].toSorted(byName)),
      schemas: Object.fromEntries(this.schemas),
      keystoneAdmin: this.keystoneAdmin,
    });
  }

  readonly files: Files = {
    read: (path) => this.#read(() => this.contents.get(path)?.text ?? null),
    stat: (path) =>
      this.#read(() => {
        const file = this.contents.get(path);
        if (file === undefined) return this.folders.get(path) ?? null;
        const { mode, owner, group } = file;
        const modifiedMs = this.contents.modifiedMs(path);
        return { mode, owner, group, uid: numberOf(owner), gid: numberOf(group), modifiedMs };
      }),
    write: (path, text, mode, owner = { uid: 0, gid: 0 }) => {
      this.#mutate("files.write", path, () => {
        this.contents.set(path, { text, mode, owner: nameOf(owner.uid), group: nameOf(owner.gid) });
      });
    },
    makeFolder: (path, mode, { uid, gid }) => {
      this.#mutate("files.makeFolder", path, () => {
        this.folders.set(path, { mode, owner: nameOf(uid), group: nameOf(gid), uid, gid, modifiedMs: 0 });
      });
    },
    isEmpty: (path) =>
      this.#read(() => [...this.contents.keys()].every((each) => !each.startsWith(`${path}/`))),
    list: (path) =>
      this.#read(() =>
        [...this.contents.keys()]
          .filter((each) => each.startsWith(`${path}/`) && !each.slice(path.length + 1).includes("/"))
          .map((each) => each.slice(path.length + 1))
          .toSorted(),
      ),
    removeFolder: (path) => {
      this.#mutate("files.removeFolder", path, () => {
        if ([...this.contents.keys()].every((each) => !each.startsWith(`${path}/`)))
          this.folders.delete(path);
      });
    },
    remove: (path) => {
      this.#mutate("files.remove", path, () => {
        this.contents.delete(path);
      });
    },
  };

  readonly packages: Packages = {
    installed: (name) => this.#read(() => this.installed.get(name) ?? null),
    install: (names) =>
      promise(() => {
        const unknown = names.find((name) => !this.mirror.has(name));
        if (unknown !== undefined)
          throw new StackctlError("package_unavailable", `the mirror has no package ${unknown}`, {
            retryable: true,
          });
        this.#mutate("packages.install", names.join(" "), () => {
          for (const name of names) this.#install(name);
        });
      }),
    purge: (names) =>
      promise(() => {
        this.#mutate("packages.purge", names.join(" "), () => {
          for (const name of names) this.#purge(name);
        });
      }),
  };

  readonly units: Units = {
    status: (name) =>
      promise(() =>
        this.#read(() => {
          const unit = this.unitStates.get(name);
          return {
            known: unit !== undefined,
            active: unit?.active ?? false,
            enabled: unit?.enabled ?? false,
            stale: unit !== undefined && this.#isStale(name, unit),
            startedMs: unit?.startedMs ?? null,
          };
        }),
      ),
    enable: (name) =>
      promise(() => {
        const unit = this.#unit(name);
        this.#mutate("units.enable", name, () => {
          unit.enabled = true;
        });
      }),
    restart: (name) =>
      promise(() => {
        const unit = this.#unit(name);
        this.#mutate("units.restart", name, () => {
          this.#start(name, unit);
        });
      }),
    start: (name) =>
      promise(() => {
        const unit = this.#unit(name);
        this.#mutate("units.start", name, () => {
          if (!unit.active) this.#start(name, unit);
        });
      }),
    stop: (name) =>
      promise(() => {
        this.#mutate("units.stop", name, () => {
          const unit = this.unitStates.get(name);
          if (unit !== undefined) unit.active = false;
          const container = this.containers.get(containerOf(name));
          if (container !== undefined) container.running = false;
        });
      }),
    disable: (name) =>
      promise(() => {
        this.#mutate("units.disable", name, () => {
          const unit = this.unitStates.get(name);
          if (unit !== undefined) unit.enabled = false;
        });
      }),
    load: (name) =>
      promise(() => {
        const unit = this.unitStates.get(name);
        if (unit === undefined || this.#isStale(name, unit))
          this.#mutate("units.load", name, this.#readUnits);
      }),
    reload: () =>
      promise(() => {
        this.#mutate("units.reload", "", this.#readUnits);
      }),
  };

  readonly accounts: Accounts = {
    user: (name) => this.#read(() => this.users.get(name) ?? null),
    group: (name) => this.#read(() => this.groups.get(name) ?? null),
    setGroup: (name, gid) =>
      promise(() => {
        if ([...this.groups].some(([other, number]) => number === gid && other !== name))
          throw new StackctlError("command_failed", `GID '${String(gid)}' already exists`);
        this.#mutate("accounts.setGroup", name, () => {
          this.groups.set(name, gid);
        });
      }),
    setUser: (name, account) =>
      promise(() => {
        const missing = [account.group, ...account.groups].find((group) => !this.groups.has(group));
        if (missing !== undefined)
          throw new StackctlError("command_failed", `group '${missing}' does not exist`);
        if ([...this.users].some(([other, { uid }]) => uid === account.uid && other !== name))
          throw new StackctlError("command_failed", `UID ${String(account.uid)} is not unique`);
        this.#mutate("accounts.setUser", name, () => {
          this.users.set(name, account);
        });
      }),
    removeUser: (name) =>
      promise(() => {
        this.#mutate("accounts.removeUser", name, () => {
          this.users.delete(name);
        });
      }),
    removeGroup: (name) =>
      promise(() => {
        if ([...this.users.values()].some(({ group }) => group === name))
          throw new StackctlError("command_failed", `cannot remove the primary group '${name}'`);
        this.#mutate("accounts.removeGroup", name, () => {
          this.groups.delete(name);
        });
      }),
  };

  readonly docker: Docker = {
    container: (name) =>
      promise(() =>
        this.#read(() => {
          const found = this.containers.get(name);
          if (found === undefined) return null;
          return { running: found.running, image: found.made.image, labels: found.made.labels };
        }),
      ),
    containers: () =>
      promise(() =>
        this.#read(() => [...this.containers].map(([name, { made }]) => ({ name, labels: made.labels }))),
      ),
    volumes: () => promise(() => this.#read(() => [...this.volumes])),
    create: (name, made) =>
      promise(() => {
        this.#mutate("docker.create", name, () => {
          if (this.containers.has(name))
            throw new StackctlError("container_failed", `${name} is there already`);
          if (!this.imageIds.has(made.image))
            throw new StackctlError("container_failed", `no such image ${made.image}`);
          this.containers.set(name, { made, running: false });
        });
      }),
    remove: (name) =>
      promise(() => {
        this.#mutate("docker.remove", name, () => {
          this.containers.delete(name);
        });
      }),
    run: (name, made, input) =>
      promise(() => {
        let end: JobEnd = { code: 0, output: "" };
        this.#mutate("docker.run", name, () => {
          if (!this.imageIds.has(made.image))
            throw new StackctlError("container_failed", `no such image ${made.image}`);
          end = this.job(made, input);
        });
        return end;
      }),
    image: (reference) =>
      promise(() => this.#read(() => (this.imageIds.has(reference) ? { id: reference } : null))),
    pull: (registry, name, digest) =>
      promise(() => {
        const found = [...this.registryImages].find(
          ([key, image]) => key.startsWith(`${registry}/${name}:`) && image.digest === digest,
        )?.[1];
        if (found === undefined)
          throw new StackctlError("image_unavailable", `${registry} has no ${name}@${digest}`, {
            retryable: true,
          });
        this.#mutate("docker.pull", name, () => {
          this.imageIds.add(found.id);
        });
        return found.id;
      }),
    removeUnused: (id) =>
      promise(() => {
        this.#mutate("docker.removeUnused", id, () => {
          if (!this.#used(id)) this.imageIds.delete(id);
        });
      }),
    ownImages: () => promise(() => this.#read(() => this.ownImages.map((image) => ({ ...image })))),
    forget: (reference) =>
      promise(() => {
        const image = this.ownImages.find(({ id, references }) => [id, ...references].includes(reference));
        if (image === undefined) return true;
        const left = image.references.filter((each) => each !== reference);
        if (left.length === 0 && this.#used(image.id)) return false;
        this.#mutate("docker.forget", reference, () => {
          image.references = left;
          if (left.length > 0) return;
          this.ownImages.splice(this.ownImages.indexOf(image), 1);
          this.imageIds.delete(image.id);
        });
        return true;
      }),
    imageBytes: () => promise(() => this.#read(() => this.ownImages.length * 1000)),
  };

  readonly images: Images = {
    parallel: 2,
    inRegistry: (at, name, tag) =>
      promise(() => this.#read(() => this.registryImages.get(registryKey(at, name, tag)) ?? null)),
    local: (recipe) =>
      promise(() => this.#read(() => (this.imageIds.has(fakeId(recipe)) ? fakeId(recipe) : null))),
    build: (recipe) =>
      promise(() => {
        this.#mutate("images.build", recipe.name, () => {
          this.imageIds.add(fakeId(recipe));
        });
        return fakeId(recipe);
      }),
    push: (recipe, to) =>
      promise(() => {
        const digest = fakeId({ ...recipe, name: `${recipe.name} pushed` });
        const image = { id: fakeId(recipe), digest, sizeBytes: 1000 };
        this.#mutate("images.push", recipe.name, () => {
          this.registryImages.set(registryKey(to, recipe.name, recipe.digest), image);
        });
        return image;
      }),
    fromCache: () => Promise.resolve(null),
    take: (recipe, from) =>
      promise(() => {
        const found = this.registryImages.get(registryKey(from, recipe.name, recipe.digest));
        if (found === undefined) return null;
        this.#mutate("images.take", recipe.name, () => {
          this.imageIds.add(found.id);
        });
        return found.id;
      }),
    tags: (at) =>
      promise(() =>
        this.#read(() =>
          [...this.registryImages].flatMap(([key, { digest }]) => {
            const [where, name, tag] = key.split(/\/|:(?=[^:/]*$)/);
            return where === (at.address ?? at.name) && name !== undefined && tag !== undefined
              ? [{ name, tag, digest }]
              : [];
          }),
        ),
      ),
    removeFromRegistry: (at, name, digest) =>
      promise(() => {
        this.#mutate("images.removeFromRegistry", name, () => {
          for (const [key, image] of this.registryImages)
            if (key.startsWith(`${at.address ?? at.name}/${name}:`) && image.digest === digest) {
              this.registryImages.delete(key);
              this.garbageBytes += image.sizeBytes;
            }
        });
      }),
    collectGarbage: () =>
      promise(() => {
        const freed = this.garbageBytes;
        this.#mutate("images.collectGarbage", "", () => {
          this.garbageBytes = 0;
        });
        return freed;
      }),
    copy: (from, to, name, tag, digest) =>
      promise(() => {
        const image = this.registryImages.get(registryKey(from, name, tag));
        if (image?.digest !== digest)
          throw new StackctlError("image_unavailable", `no ${name}@${digest}`, { retryable: true });
        this.#mutate("images.copy", name, () => {
          this.registryImages.set(registryKey(to, name, tag), image);
        });
      }),
  };

  readonly database: Database = {
    wsrep: () =>
      promise(() => this.#read(() => (this.wsrep.length > 1 ? this.wsrep.shift() : this.wsrep[0]) ?? null)),
    exists: (_socket, database) => promise(() => this.#read(() => this.databases.has(database))),
    create: (_socket, database) =>
      promise(() => {
        this.#mutate("database.create", database, () => {
          this.databases.add(database);
        });
      }),
    grants: (_socket, user, from) =>
      promise(() =>
        this.#read(() => {
          const found = this.databaseUsers.get(`${user}@${from}`);
          if (found === undefined) return null;
          const databases: Record<string, string[]> = {};
          const privileges: string[] = [];
          for (const [privilege = "", on] of [...found.rights].map((right) => right.split(" on "))) {
            if (on === undefined) privileges.push(privilege);
            else (databases[on] ??= []).push(privilege);
          }
          return { hash: found.hash, privileges, databases };
        }),
      ),
    setUser: (_socket, user, from, hash) =>
      promise(() => {
        this.#mutate("database.setUser", user, () => {
          const rights = this.databaseUsers.get(`${user}@${from}`)?.rights ?? new Set<string>();
          this.databaseUsers.set(`${user}@${from}`, { hash, rights });
        });
      }),
    grant: (_socket, user, from, privilege, database) =>
      promise(() => {
        this.#mutate("database.grant", user, () => {
          this.databaseUsers.get(`${user}@${from}`)?.rights.add(rightOf(privilege, database));
        });
      }),
    revoke: (_socket, user, from, privilege, database) =>
      promise(() => {
        this.#mutate("database.revoke", user, () => {
          this.databaseUsers.get(`${user}@${from}`)?.rights.delete(rightOf(privilege, database));
        });
      }),
    dropUser: (_socket, user, from) =>
      promise(() => {
        this.#mutate("database.dropUser", user, () => {
          this.databaseUsers.delete(`${user}@${from}`);
        });
      }),
    schema: (_socket, database) => promise(() => this.#read(() => this.schemas.get(database) ?? null)),
    keystoneAdmin: () => promise(() => this.#read(() => this.keystoneAdmin)),
  };

  readonly web: Web = {
    ask: (request) =>
      promise(() => {
        const answer = this.#read(() => this.answer);
        // A token that was asked for changes nothing.
        if (request.method === "GET" || request.url.endsWith("/auth/tokens")) return answer(request);
        let given: WebAnswer | null = null;
        this.#mutate(`web.${request.method}`, new URL(request.url).pathname, () => {
          given = answer(request);
        });
        return given;
      }),
  };

  readonly system: System = {
    bootId: () => this.#read(() => this.currentBootId),
    uptimeSeconds: () => this.#read(() => 60),
    hostname: () => this.#read(() => this.liveHostname),
    answers: (_address, port) => promise(() => this.#read(() => this.answering.has(port))),
    setHostname: (name) =>
      promise(() => {
        this.#mutate("system.setHostname", name, () => {
          this.liveHostname = name;
        });
      }),
    kernelParameter: (name) => this.#read(() => this.kernelParameters.get(name) ?? null),
    setKernelParameter: (name, value) => {
      if (!this.kernelParameters.has(name))
        throw new StackctlError("file_failed", `the kernel has no ${name}`);
      this.#mutate("system.setKernelParameter", name, () => {
        this.kernelParameters.set(name, value);
      });
    },
    leave: () =>
      promise(() => {
        this.#mutate("system.leave", "", () => undefined);
      }),
    reboot: () =>
      promise(() => {
        this.#mutate("system.reboot", "", () => {
          this.currentBootId = randomUUID();
        });
      }),
  };

  readonly journal: Journal = {
    read: ({ sources, lines, sinceUs, follow }, reader, signal) => {
      const of = (by: string): boolean =>
        sources.some((source) => by === (source.kind === "container" ? source.name : source.unit));
      const past = this.journalEntries.filter(({ by, line }) => of(by) && line.atUs >= (sinceUs ?? 0));
      for (const { line } of past.slice(past.length - Math.min(lines, past.length))) reader.entry(line);
      reader.caughtUp();
      if (!follow || signal.aborted) return Promise.resolve();
      return this.#follow(of, reader, signal);
    },
  };

  /** A container or unit says something, now. */
  say(by: string, text: string, atUs = Date.now() * 1000): void {
    const line = { atUs, from: by.replace(".service", ""), text };
    this.journalEntries.push({ by, line });
    for (const tell of this.journalReaders) tell(by, line);
  }

  #follow(of: (by: string) => boolean, reader: JournalReader, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const tell = (by: string, line: LogLine): void => {
        if (!of(by)) return;
        if (reader.room()) reader.entry(line);
        else reader.dropped();
      };
      this.journalReaders.add(tell);
      signal.addEventListener("abort", () => {
        this.journalReaders.delete(tell);
        resolve();
      });
    });
  }

  #install(name: string): void {
    const offer = this.mirror.get(name);
    if (offer === undefined || this.installed.has(name)) return;
    this.installed.set(name, offer.version);
    for (const [path, text] of Object.entries(offer.files ?? {})) {
      if (!this.contents.has(path))
        this.contents.set(path, { text, mode: 0o644, owner: "root", group: "root" });
    }
    for (const unitName of Object.keys(offer.units ?? {})) {
      const unit = { ...newUnit, enabled: true };
      this.unitStates.set(unitName, unit);
      this.#start(unitName, unit);
    }
  }

  #purge(name: string): void {
    const offer = this.mirror.get(name);
    if (offer === undefined || !this.installed.delete(name)) return;
    for (const path of Object.keys(offer.files ?? {})) this.contents.delete(path);
    for (const unit of Object.keys(offer.units ?? {})) this.unitStates.delete(unit);
  }

  #start(name: string, unit: FakeUnit): void {
    const reads = [...this.mirror.values()].map(({ units }) => units?.[name]?.reads).find(Boolean);
    unit.active = true;
    const container = this.containers.get(containerOf(name));
    if (container !== undefined) container.running = true;
    unit.starts += 1;
    unit.startedMs = this.#clock();
    unit.startedWith =
      reads === undefined
        ? `${unit.file ?? ""}${unit.added ?? ""}`
        : (this.contents.get(reads)?.text ?? null);
  }

  readonly #readUnits = (): void => {
    for (const path of this.contents.keys()) {
      const name = path.slice(unitFolder.length);
      if (path.startsWith(unitFolder) && !name.includes("/") && !this.unitStates.has(name))
        this.unitStates.set(name, { ...newUnit });
    }
    for (const [name, unit] of this.unitStates) {
      unit.file = this.#unitText(name);
      unit.added = this.#addedText(name);
      if (unit.file === null && !this.#isPackaged(name)) this.unitStates.delete(name);
    }
  };

  #isStale(name: string, { file, added }: FakeUnit): boolean {
    return file !== this.#unitText(name) || (added !== null && added !== this.#addedText(name));
  }

  #unitText(name: string): string | null {
    return this.contents.get(`${unitFolder}${name}`)?.text ?? null;
  }

  /** The text of a unit's drop-ins; null: it has none. */
  #addedText(name: string): string | null {
    const texts = [...this.contents]
      .filter(([path]) => path.startsWith(`${unitFolder}${name}.d/`))
      .toSorted(byName)
      .map(([, { text }]) => text);
    return texts.length === 0 ? null : texts.join("\n");
  }

  #isPackaged(unit: string): boolean {
    return [...this.installed.keys()].some((name) => this.mirror.get(name)?.units?.[unit] !== undefined);
  }

  #unit(name: string): FakeUnit {
    const unit = this.unitStates.get(name);
    if (unit === undefined) throw new StackctlError("command_failed", `Unit ${name} not found.`);
    return unit;
  }

  #used(id: string): boolean {
    return [...this.containers.values()].some(({ made }) => made.image === id);
  }

  #read<T>(value: () => T): T {
    if (this.#crashed) throw new Error("crashed");
    return value();
  }

  #mutate(method: string, what: string, effect: () => void): void {
    if (this.#crashed) throw new Error("crashed");
    if (this.failOn === method) {
      this.failOn = null;
      throw new Error("injected failure");
    }
    effect();
    this.mutations.push(what === "" ? method : `${method} ${what}`);
    if (this.#callsUntilCrash === null) return;
    this.#callsUntilCrash -= 1;
    if (this.#callsUntilCrash > 0) return;
    this.#crashed = true;
    throw new Error("crashed");
  }
}

function nameOf(id: number): string {
  return id === 0 ? "root" : String(id);
}

function numberOf(name: string): number {
  return name === "root" ? 0 : Number(name);
}

function rightOf(privilege: string, database: string | null): string {
  return database === null ? privilege : `${privilege} on ${database}`;
}

/** The container that a unit starts. */
function containerOf(unit: string): string {
  return unit.replace(/^stackctl-(.*)\.service$/, "$1");
}

function registryKey({ name, address }: RegistryAt, image: string, tag: string): string {
  return `${address ?? name}/${image}:${tag}`;
}

/** The id of the image that a {@link FakeHost} builds of a recipe. */
export function fakeId(recipe: Pick<ImageRecipe, "name" | "digest">): string {
  return `sha256:${createHash("sha256").update(`${recipe.name} ${recipe.digest}`).digest("hex")}`;
}

/** What a synchronous body returns or throws, as a promise. */
function promise<T>(body: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(body());
  });
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}
