import { randomUUID } from "node:crypto";
import { StackctlError } from "@stackctl/protocol";
import type { Files, Host, Packages, System, Units } from "../host/host.ts";

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
  /** What its main file held when it was last started, for units named in {@link FakePackage}. */
  startedWith: string | null;
}

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
  readonly packages: Readonly<Record<string, string>>;
  readonly units: Readonly<Record<string, { readonly active: boolean; readonly enabled: boolean }>>;
  readonly hostname: string;
}

/** What a mutating call was, such as `files.write /etc/hosts`. */
type Mutation = string;

/**
 * A host in memory: files, packages, units and the rest as plain maps that a test may read and edit. It knows nothing of
 * how tools behave beyond what the contract suite proves of real hosts too.
 */
export class FakeHost implements Host {
  /** A bare Debian's, as far as resources care. */
  readonly contents = new Map<string, FakeFile>(
    Object.entries({
      "/etc/hostname": "debian\n",
      "/etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
      "/etc/apt/sources.list": "deb http://deb.debian.org/debian bookworm main\n",
    }).map(([path, text]) => [path, { text, mode: 0o644, owner: "root", group: "root" }]),
  );
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
  ]);
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

  /** All that lasts, to compare before and after; not the mutations, nor how often units were started. */
  snapshot(): Snapshot {
    return structuredClone({
      files: Object.fromEntries([...this.contents].toSorted(byName)),
      packages: Object.fromEntries([...this.installed].toSorted(byName)),
      units: Object.fromEntries(
        [...this.unitStates]
          .toSorted(byName)
          .map(([name, { active, enabled }]) => [name, { active, enabled }]),
      ),
      hostname: this.liveHostname,
    });
  }

  readonly files: Files = {
    read: (path) => this.#read(() => this.contents.get(path)?.text ?? null),
    stat: (path) =>
      this.#read(() => {
        const file = this.contents.get(path);
        return file === undefined ? null : { mode: file.mode, owner: file.owner, group: file.group };
      }),
    write: (path, text, mode) => {
      this.#mutate("files.write", path, () => {
        this.contents.set(path, { text, mode, owner: "root", group: "root" });
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
    stop: (name) =>
      promise(() => {
        this.#mutate("units.stop", name, () => {
          const unit = this.unitStates.get(name);
          if (unit !== undefined) unit.active = false;
        });
      }),
  };

  readonly system: System = {
    bootId: () => this.#read(() => this.currentBootId),
    uptimeSeconds: () => this.#read(() => 60),
    hostname: () => this.#read(() => this.liveHostname),
    setHostname: (name) =>
      promise(() => {
        this.#mutate("system.setHostname", name, () => {
          this.liveHostname = name;
        });
      }),
    reboot: () =>
      promise(() => {
        this.#mutate("system.reboot", "", () => {
          this.currentBootId = randomUUID();
        });
      }),
  };

  #install(name: string): void {
    const offer = this.mirror.get(name);
    if (offer === undefined || this.installed.has(name)) return;
    this.installed.set(name, offer.version);
    for (const [path, text] of Object.entries(offer.files ?? {})) {
      if (!this.contents.has(path))
        this.contents.set(path, { text, mode: 0o644, owner: "root", group: "root" });
    }
    for (const unitName of Object.keys(offer.units ?? {})) {
      const unit = { active: false, enabled: true, starts: 0, startedWith: null };
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
    unit.starts += 1;
    unit.startedWith = reads === undefined ? null : (this.contents.get(reads)?.text ?? null);
  }

  #unit(name: string): FakeUnit {
    const unit = this.unitStates.get(name);
    if (unit === undefined) throw new StackctlError("command_failed", `Unit ${name} not found.`);
    return unit;
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

/** What a synchronous body returns or throws, as a promise. */
function promise<T>(body: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(body());
  });
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}
