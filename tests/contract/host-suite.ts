import assert from "node:assert/strict";
import { StackctlError } from "@stackctl/protocol";
import type { Host, UnitStatus } from "@stackctl/agent/host/host.ts";

/** One claim about every host, real or fake. */
export interface HostClaim {
  readonly about: "files" | "packages" | "units" | "accounts" | "system" | "commands";
  readonly claim: string;
  /** Leaves the host as it was. @throws AssertionError when the claim does not hold */
  readonly check: (host: Host) => void | Promise<void>;
}

/** What became of a claim on a host. */
export interface ClaimResult {
  readonly about: string;
  readonly claim: string;
  readonly seconds: number;
  /** Null: it holds. */
  readonly problem: string | null;
}

const folder = "/var/tmp/stackctl-contract";
const path = `${folder}/file`;
/** A package without dependencies beyond a bare Debian's, and one with a unit. */
const small = "tree";
const withUnit = { name: "chrony", unit: "chrony.service", file: "/etc/chrony/chrony.conf" };

/** A unit of our own that does nothing, and remains. */
const ownUnit = {
  name: "stackctl-contract-unit.service",
  file: "/etc/systemd/system/stackctl-contract-unit.service",
  text: "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n",
};
/** Numbers that a bare Debian gives to nobody. */
const account = {
  uid: 64_701,
  group: "stackctl-c",
  groups: ["adm", "users"],
  home: "/var/lib/stackctl-c",
  shell: "/bin/sh",
};
const parameter = "net.ipv4.tcp_fin_timeout";

/** What the fake may claim because every real host does it too. Packages are fetched: apt must reach a mirror. */
export const hostClaims: readonly HostClaim[] = [
  {
    about: "files",
    claim: "a file that is not there has no text and no mode, and may be removed",
    check: ({ files }: Host): void => {
      assert.equal(files.read(path), null);
      assert.equal(files.stat(path), null);
      files.remove(path);
      assert.equal(files.read(`${path}/below`), null);
      assert.equal(files.stat(`${path}/below`), null);
    },
  },
  {
    about: "files",
    claim: "a folder's files are listed in order, and of a folder that is not there none are",
    check: ({ files }: Host): void => {
      assert.deepEqual(files.list(folder), []);
      for (const name of ["b", "a"]) files.write(`${folder}/${name}`, name, 0o600);
      assert.deepEqual(files.list(folder), ["a", "b"]);
      for (const name of ["b", "a"]) files.remove(`${folder}/${name}`);
      assert.deepEqual(files.list(folder), []);
      files.removeFolder(folder);
    },
  },
  {
    about: "files",
    claim: "what is written is read back whole, with its mode, owned by root",
    check: ({ files }: Host): void => {
      let written = 0;
      for (const text of ["", "a line\n", "Grüße, 時間\n", "x".repeat(2_000_000)]) {
        for (const mode of [0o644, 0o600, 0o640, 0o755]) {
          files.write(path, text, mode);
          assert.equal(files.read(path), text);
          const { modifiedMs, ...rest } = files.stat(path) ?? { modifiedMs: null };
          assert.deepEqual(rest, { mode, owner: "root", group: "root", uid: 0, gid: 0 });
          assert(modifiedMs !== null && modifiedMs >= written);
          written = modifiedMs;
        }
      }
      files.remove(path);
      assert.equal(files.read(path), null);
    },
  },
  {
    about: "packages",
    claim: "a package is installed with its version, again without harm, and purged, again without harm",
    check: async ({ packages }: Host): Promise<void> => {
      assert.equal(packages.installed(small), null);
      await packages.purge([small]);
      await packages.install([small]);
      assert.match(packages.installed(small) ?? "", /^[0-9]/);
      await packages.install([small]);
      await packages.purge([small]);
      assert.equal(packages.installed(small), null);
      await packages.purge([small]);
    },
  },
  {
    about: "packages",
    claim: "an unknown package is named, and nothing else of the order is installed",
    check: async ({ packages }: Host): Promise<void> => {
      await assert.rejects(packages.install([small, "stackctl-nosuch"]), (error: unknown) => {
        assert(error instanceof StackctlError);
        assert.equal(error.code, "package_unavailable");
        assert.match(error.message, /stackctl-nosuch/);
        return true;
      });
      assert.equal(packages.installed(small), null);
    },
  },
  {
    about: "units",
    claim: "an unknown unit is not known, may be stopped, and can be neither started nor enabled",
    check: async ({ units }: Host): Promise<void> => {
      const nothing = { known: false, active: false, enabled: false, stale: false, startedMs: null };
      assert.deepEqual(await units.status("stackctl-nosuch.service"), nothing);
      await units.stop("stackctl-nosuch.service");
      const failed = { code: "command_failed" };
      await assert.rejects(units.restart("stackctl-nosuch.service"), failed);
      await assert.rejects(units.enable("stackctl-nosuch.service"), failed);
    },
  },
  {
    about: "units",
    claim: "a package brings its unit running and enabled; it stops, starts and goes with the package",
    check: async ({ packages, units, files }: Host): Promise<void> => {
      await packages.install([withUnit.name]);
      const status = async (): Promise<Omit<UnitStatus, "startedMs">> => {
        const { startedMs, ...rest } = await units.status(withUnit.unit);
        assert.notEqual(startedMs, null);
        return rest;
      };
      const running = { known: true, active: true, enabled: true, stale: false };
      assert.deepEqual(await status(), running);
      assert.notEqual(files.read(withUnit.file), null);
      await units.stop(withUnit.unit);
      await units.stop(withUnit.unit);
      assert.deepEqual(await status(), { ...running, active: false });
      await units.restart(withUnit.unit);
      await units.restart(withUnit.unit);
      await units.enable(withUnit.unit);
      assert.deepEqual(await status(), running);
      const modifiedMs = (): number => files.stat(withUnit.file)?.modifiedMs ?? 0;
      files.write(withUnit.file, files.read(withUnit.file) ?? "", 0o644);
      assert(((await units.status(withUnit.unit)).startedMs ?? 0) < modifiedMs());
      await units.restart(withUnit.unit);
      assert(((await units.status(withUnit.unit)).startedMs ?? 0) >= modifiedMs());
      await packages.purge([withUnit.name]);
      assert.equal((await units.status(withUnit.unit)).active, false);
      assert.equal(files.read(withUnit.file), null);
    },
  },
  {
    about: "units",
    claim: "a unit's text counts once it is read, what is added to it too, and it goes with its file",
    check: async ({ units, files }: Host): Promise<void> => {
      const status = async (): Promise<Omit<UnitStatus, "startedMs">> => {
        const { known, active, enabled, stale } = await units.status(ownUnit.name);
        return { known, active, enabled, stale };
      };
      files.write(ownUnit.file, ownUnit.text, 0o644);
      await units.load(ownUnit.name);
      const stopped = { known: true, active: false, enabled: false, stale: false };
      assert.deepEqual(await status(), stopped);
      await units.enable(ownUnit.name);
      await units.restart(ownUnit.name);
      const running = { known: true, active: true, enabled: true, stale: false };
      assert.deepEqual(await status(), running);
      const dropIn = `${ownUnit.file}.d/more.conf`;
      const more = (limit: number) => (): void => {
        files.write(dropIn, `[Service]\nLimitNOFILE=${String(limit)}\n`, 0o644);
      };
      // That a first drop-in is there, in a new folder, is not noticed: only a reload is sure.
      more(1000)();
      await units.reload();
      const edits = [
        (): void => {
          files.write(ownUnit.file, `# more\n${ownUnit.text}`, 0o644);
        },
        more(2000),
        (): void => {
          files.remove(dropIn);
        },
      ];
      for (const edit of edits) {
        edit();
        assert.deepEqual(await status(), { ...running, stale: true });
        await units.load(ownUnit.name);
        assert.deepEqual(await status(), running);
      }
      // While it runs, too: systemd keeps what it knows of a unit that it has in use.
      await units.disable(ownUnit.name);
      assert.deepEqual(await status(), { ...running, enabled: false });
      await units.enable(ownUnit.name);
      assert.deepEqual(await status(), running);
      await units.stop(ownUnit.name);
      await units.disable(ownUnit.name);
      assert.deepEqual(await status(), stopped);
      files.remove(ownUnit.file);
      files.removeFolder(`${ownUnit.file}.d`);
      await units.reload();
      assert.equal((await units.status(ownUnit.name)).known, false);
      await units.disable(ownUnit.name);
    },
  },
  {
    about: "accounts",
    claim: "a user and its group are made, changed and removed, again without harm",
    check: async ({ accounts }: Host): Promise<void> => {
      const name = "stackctl-c";
      assert.equal(accounts.user(name), null);
      assert.equal(accounts.group(name), null);
      assert.equal(accounts.user("root")?.uid, 0);
      await accounts.setGroup(name, 64_701);
      await accounts.setUser(name, account);
      assert.deepEqual(accounts.user(name), account);
      const other = { ...account, uid: 64_702, groups: [], home: "/nonexistent", shell: "/usr/sbin/nologin" };
      await accounts.setGroup(name, 64_703);
      await accounts.setUser(name, other);
      assert.deepEqual(accounts.user(name), other);
      assert.equal(accounts.group(name), 64_703);
      await assert.rejects(accounts.removeGroup(name), { code: "command_failed" });
      await accounts.removeUser(name);
      await accounts.removeUser(name);
      assert.equal(accounts.user(name), null);
      // It is somebody's own decision to remove that too.
      assert.equal(accounts.group(name), 64_703);
      await accounts.removeGroup(name);
      await accounts.removeGroup(name);
      assert.equal(accounts.group(name), null);
    },
  },
  {
    about: "accounts",
    claim: "a number that somebody has, and a group that is not there, are refused",
    check: async ({ accounts }: Host): Promise<void> => {
      const failed = { code: "command_failed" };
      await assert.rejects(accounts.setGroup("stackctl-c", 0), failed);
      await accounts.setGroup("stackctl-c", 64_701);
      await assert.rejects(accounts.setUser("stackctl-c", { ...account, uid: 0 }), failed);
      await assert.rejects(
        accounts.setUser("stackctl-c", { ...account, groups: ["stackctl-nosuch"] }),
        failed,
      );
      assert.equal(accounts.user("stackctl-c"), null);
      await accounts.removeGroup("stackctl-c");
    },
  },
  {
    about: "system",
    claim:
      "a kernel parameter is what it was set to, several numbers with one space; one that is not there cannot be set",
    check: ({ system }: Host): void => {
      const before = system.kernelParameter(parameter);
      assert(before !== null);
      system.setKernelParameter(parameter, "47");
      assert.equal(system.kernelParameter(parameter), "47");
      system.setKernelParameter(parameter, before);
      assert.match(system.kernelParameter("net.ipv4.ip_local_port_range") ?? "", /^\d+ \d+$/);
      assert.equal(system.kernelParameter("net.ipv4.stackctl_nosuch"), null);
      assert.throws(
        () => {
          system.setKernelParameter("net.ipv4.stackctl_nosuch", "1");
        },
        { code: "file_failed" },
      );
    },
  },
  {
    about: "packages",
    claim: "a configuration file that is there before its package stays as it is",
    check: async ({ packages, files }: Host): Promise<void> => {
      const text = "# mine\nserver 127.0.0.1\n";
      files.write(withUnit.file, text, 0o644);
      await packages.install([withUnit.name]);
      assert.equal(files.read(withUnit.file), text);
      await packages.purge([withUnit.name]);
      files.remove(withUnit.file);
    },
  },
  {
    about: "system",
    claim: "the live hostname is what it was set to",
    check: async ({ system }: Host): Promise<void> => {
      const before = system.hostname();
      await system.setHostname("stackctl-contract");
      assert.equal(system.hostname(), "stackctl-contract");
      await system.setHostname(before);
      assert.equal(system.hostname(), before);
    },
  },
  {
    about: "system",
    claim: "the boot id is a uuid and stays, and the host is up since some time",
    check: ({ system }: Host): void => {
      assert.match(system.bootId(), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      assert.equal(system.bootId(), system.bootId());
      assert(system.uptimeSeconds() > 0);
    },
  },
];

/** Checks every claim on a host, one after the other; one that fails does not end the others. */
export async function checkClaims(host: Host, claims: readonly HostClaim[]): Promise<ClaimResult[]> {
  const results: ClaimResult[] = [];
  for (const { about, claim, check } of claims) {
    const begun = performance.now();
    let problem: string | null = null;
    try {
      await check(host);
    } catch (error) {
      problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
    }
    results.push({ about, claim, problem, seconds: (performance.now() - begun) / 1000 });
  }
  return results;
}
