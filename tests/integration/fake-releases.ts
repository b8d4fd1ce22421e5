import {
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { releasesOn, type Releases } from "@stackctl/agent/host/releases.ts";

/** Releases in real folders, with the part of systemd that an upgrade needs played by the test. */
export interface FakeReleases {
  /** The release that `current` leads to. */
  readonly current: () => string;
  /** All that are there, half ones too. */
  readonly all: () => string[];
  readonly path: (release: string, file: string) => string;
  /** True while an unconfirmed release is to be left by itself. */
  readonly isArmed: () => boolean;
  /** Releases whose agent ends at once. */
  readonly broken: Set<string>;
  /** As the agent's process begins; null: it ends at once. */
  readonly start: () => Releases | null;
  /** The time to confirm is up, or the host was booted long ago: systemd does what the way back says. */
  readonly goBack: () => Promise<void>;
}

/** The release that every host begins with. */
export const firstRelease = "0.1.0-00000000";

/** Makes a host's folder of releases. @param restart ends the agent and starts it anew */
export function makeReleases(folder: string, restart: () => Promise<void>): FakeReleases {
  const releases = join(folder, "releases");
  const [current, former, units] = ["current", "former", "units"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(join(releases, firstRelease), { recursive: true });
  mkdirSync(units);
  for (const file of ["node", "agent.cjs"]) writeFileSync(join(releases, firstRelease, file), file);
  symlinkSync(join(releases, firstRelease), current);
  const broken = new Set<string>();
  const release = (): string => basename(readlinkSync(current));
  const armed = join(units, "timers.target.wants", "stackctl-agent-back.timer");
  return {
    current: release,
    all: () => readdirSync(releases).toSorted(),
    path: (name, file) => join(releases, name, file),
    isArmed: () => existsSync(former) && readdirSync(join(units, "timers.target.wants")).length > 0,
    broken,
    start: () => {
      if (broken.has(release())) return null;
      const made = releasesOn({
        releases,
        current,
        former,
        units,
        program: join(releases, release(), "node"),
        countFromNow: () => Promise.resolve(),
        stopTimer: () => Promise.resolve(),
        readUnits: () => Promise.resolve(),
        restartAgent: restart,
        log: () => undefined,
      });
      made.tidy();
      return made;
    },
    goBack: async () => {
      if (!existsSync(former)) return;
      renameSync(former, current);
      rmSync(armed, { force: true });
      await restart();
    },
  };
}
