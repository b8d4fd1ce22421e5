import { createHash } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import {
  agentUnit,
  confirmSeconds,
  errorData,
  goBackUnits,
  hostPaths,
  releaseManifest,
  releaseName,
  StackctlError,
  type ReleaseAnswer,
  type ReleaseFile,
  type ReleaseFileName,
  type ReleaseManifest,
} from "@stackctl/protocol";
import { commandFailed } from "./command.ts";
import { fileFailed, isMissing, readOrNull, syncFolder, writeAtomically } from "./files.ts";
import { query } from "./query.ts";

type Missing = ReleaseAnswer["missing"];

/**
 * The agent's releases on this host. A release gets there whole or not at all; a host that runs one which nobody
 * confirms goes back to the former one by itself, whatever becomes of the agent.
 */
export interface Releases {
  /** The release that this process runs; null: it runs in no release's folder. */
  readonly running: string | null;
  /**
   * Prepares for a release: what is here already is linked, not asked for.
   * @returns what is missing; nothing: it is there whole
   * @throws StackctlError `disk_full` with nothing left half-written, `file_failed`
   */
  offer(manifest: ReleaseManifest): Promise<Missing>;
  /**
   * Takes a piece of a file that was offered; one that is not the next is not taken, and the answer says which is.
   * @throws StackctlError `upgrade_refused` when it was not offered or is not what was signed; `disk_full`
   */
  piece(release: string, name: ReleaseFileName, offset: number, bytes: Uint8Array): Promise<Missing>;
  /**
   * Arms the way back and switches over; the running process stays what it is until {@link restart}.
   * @throws StackctlError `upgrade_refused` when it is not there whole, or another one waits to be confirmed
   */
  start(release: string): Promise<void>;
  /** Starts the agent anew: this process ends. */
  restart(): Promise<void>;
  /**
   * The host stays with the release that this process runs; older ones but the one before it are removed.
   * @throws StackctlError `upgrade_refused` when this is another, or the host has gone back already
   */
  confirm(release: string): void;
  /** Begins to end what a killed process left half-done; called once at the start. */
  tidy(): void;
  /** Resolves when nothing of it is under way. */
  settled(): Promise<void>;
}

/** Where releases are, and how systemd is told. */
export interface ReleasesAt {
  readonly releases: string;
  readonly current: string;
  readonly former: string;
  /** systemd's folder of units. */
  readonly units: string;
  /** The program of the running process: it lies in its release's folder. */
  readonly program: string;
  /** Lets this timer count from now on. */
  readonly countFromNow: (timer: string) => Promise<void>;
  readonly stopTimer: (timer: string) => Promise<void>;
  readonly readUnits: () => Promise<void>;
  readonly restartAgent: () => Promise<void>;
  readonly log: (fields: Record<string, unknown>, message: string) => void;
}

/** The real ones. */
export function linuxReleases(log: ReleasesAt["log"]): Releases {
  // No transient units: each is one word to systemd, which does it whether we are there or not.
  const systemctl = async (...args: string[]): Promise<void> => {
    const { code, stdout, stderr } = await query("systemctl", args, 60_000);
    if (code !== 0) throw commandFailed({ argv: ["systemctl", ...args], code, output: stdout + stderr });
  };
  return releasesOn({
    releases: hostPaths.releases,
    current: hostPaths.current,
    former: hostPaths.former,
    units: dirname(hostPaths.unit),
    program: process.execPath,
    countFromNow: (timer) => systemctl("restart", "--", timer),
    stopTimer: (timer) => systemctl("stop", "--", timer),
    readUnits: () => systemctl("daemon-reload"),
    restartAgent: () => systemctl("restart", "--no-block", "--", agentUnit),
    log,
  });
}

/** Releases in folders; systemd as given. */
export function releasesOn(at: ReleasesAt): Releases {
  const name = basename(dirname(at.program));
  const running = releaseName.safeParse(name).success ? name : null;
  const folderOf = (release: string): string => join(at.releases, release);
  const stagingOf = (release: string): string => join(at.releases, `${stagingMark}${release}`);
  const timerLink = join(at.units, "timers.target.wants", goBackUnits.timer);
  const unitFile = join(at.units, agentUnit);

  // One after the other: a piece that is unpacked must not meet the next one.
  let last: Promise<unknown> = Promise.resolve();
  const queued = <T>(work: () => Promise<T>): Promise<T> => {
    const done = last.then(work, work);
    last = done.catch(() => undefined);
    return done;
  };

  const stage = async (manifest: ReleaseManifest): Promise<Missing> => {
    const folder = folderOf(manifest.release);
    if (await isWhole(folder, manifest)) return [];
    const staging = stagingOf(manifest.release);
    mkdirSync(at.releases, { recursive: true });
    for (const other of readdirSync(at.releases))
      if (other.startsWith(stagingMark) && join(at.releases, other) !== staging)
        rmSync(join(at.releases, other), { recursive: true });
    const text = JSON.stringify(manifest);
    // The same name for something else: begin anew.
    if (readOrNull(join(staging, manifestFile)) !== text) rmSync(staging, { recursive: true, force: true });
    mkdirSync(staging, { recursive: true, mode: 0o755 });
    writeAtomically(join(staging, manifestFile), text, 0o644);
    for (const file of manifest.files) {
      if (existsSync(join(staging, file.name))) continue;
      const same = await findSame(at.releases, file);
      if (same !== null) linkSync(same, join(staging, file.name));
    }
    return finish(manifest);
  };

  /** Puts the release in its place once nothing is missing. */
  const finish = (manifest: ReleaseManifest): Missing => {
    const staging = stagingOf(manifest.release);
    const missing = manifest.files
      .filter((file) => !existsSync(join(staging, file.name)))
      .map((file) => ({ name: file.name, offset: sizeOf(join(staging, `${file.name}.gz`)) ?? 0 }));
    if (missing.length > 0) return missing;
    const folder = folderOf(manifest.release);
    // What is in the way is half of a push over ssh, or was damaged since.
    if (existsSync(folder) && linkTarget(at.current) === manifest.release)
      throw upgradeError(
        "upgrade_refused",
        `${manifest.release} runs here, and its files are not what they were`,
      );
    rmSync(folder, { recursive: true, force: true });
    syncFolder(staging);
    renameSync(staging, folder);
    syncFolder(at.releases);
    return [];
  };

  const take = async (
    release: string,
    fileName: ReleaseFileName,
    offset: number,
    bytes: Uint8Array,
  ): Promise<Missing> => {
    const staging = stagingOf(release);
    const text = readOrNull(join(staging, manifestFile));
    const manifest = text === null ? null : releaseManifest.parse(JSON.parse(text));
    const file = manifest?.files.find((each) => each.name === fileName);
    if (manifest === null || file === undefined)
      throw upgradeError("upgrade_refused", `${fileName} of ${release} was not offered`);
    if (existsSync(join(staging, fileName))) return finish(manifest);
    const archive = join(staging, `${fileName}.gz`);
    const has = sizeOf(archive) ?? 0;
    if (offset !== has) return finish(manifest);
    if (has + bytes.byteLength > file.archiveBytes)
      throw upgradeError("upgrade_refused", `${fileName} of ${release} is longer than was said`);
    appendFileSync(archive, bytes, { mode: 0o600 });
    if (has + bytes.byteLength === file.archiveBytes) await unpack(staging, release, file);
    return finish(manifest);
  };

  /** Takes everything of a release away that is half there, when there was no room for it. */
  const roomFor = async <T>(release: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      const known = fileFailed("keep", folderOf(release), error);
      if (known instanceof StackctlError && known.code === "disk_full")
        rmSync(stagingOf(release), { recursive: true, force: true });
      throw known;
    }
  };

  /** Puts the units of the way back there. They stay: to read units anew takes systemd seconds on a busy host. */
  const putWayBack = async (): Promise<void> => {
    const wanted = [
      [goBackUnits.service, goBackService(at)],
      [goBackUnits.timer, goBackTimer()],
    ] as const;
    const differ = wanted.filter(([unit, text]) => readOrNull(join(at.units, unit)) !== text);
    for (const [unit, text] of differ) writeAtomically(join(at.units, unit), text, 0o644);
    if (differ.length > 0) await at.readUnits();
  };

  const arm = async (): Promise<void> => {
    await putWayBack();
    // Also after a power cut the host has to decide: the timer then counts from the boot on.
    mkdirSync(dirname(timerLink), { recursive: true });
    if (linkTarget(timerLink) === null) symlinkSync(join("..", goBackUnits.timer), timerLink);
    syncFolder(dirname(timerLink));
    await at.countFromNow(goBackUnits.timer);
  };

  const disarm = async (): Promise<void> => {
    if (linkTarget(timerLink) === null) return;
    // Killed in between, the timer runs off and finds nothing to go back to.
    rmSync(timerLink);
    await at.stopTimer(goBackUnits.timer);
  };

  /** The unit is part of the release: it comes and goes with it. One from before that has none. */
  const putUnit = async (release: string): Promise<void> => {
    const text = readOrNull(join(folderOf(release), agentUnit));
    if (text === null || text === readOrNull(unitFile)) return;
    writeAtomically(unitFile, text, 0o644);
    await at.readUnits();
  };

  const start = async (release: string): Promise<void> => {
    const before = linkTarget(at.current);
    if (before === release) return;
    const kept = linkTarget(at.former);
    if (kept !== null)
      throw upgradeError("upgrade_refused", `${before ?? "nothing"} is not confirmed yet, after ${kept}`);
    const folder = folderOf(release);
    if (before === null || !["node", "agent.cjs"].every((each) => existsSync(join(folder, each))))
      throw upgradeError("upgrade_refused", `${release} is not on this host whole`);
    try {
      await arm();
      putLink(at.former, folderOf(before));
      putLink(at.current, folder);
    } catch (error) {
      // Unless it was switched all the same, the way back leads nowhere.
      if (linkTarget(at.current) === before) {
        rmSync(at.former, { force: true });
        await disarm();
      }
      throw fileFailed("switch to", folder, error);
    }
    // From here on the way back is armed and ends whatever goes wrong.
    await putUnit(release);
  };

  const confirm = (release: string): void => {
    if (running !== release)
      throw upgradeError("upgrade_refused", `${running ?? "another release"} runs here, not ${release}`);
    const former = linkTarget(at.former);
    try {
      unlinkSync(at.former);
    } catch (error) {
      if (!isMissing(error)) throw fileFailed("confirm", at.former, error);
      // It was confirmed before, or the host is just going back.
      if (linkTarget(at.current) !== release)
        throw upgradeError("upgrade_refused", `the host has gone back from ${release} already`);
    }
    syncFolder(dirname(at.former));
    if (former !== null) cleaned(() => clean([release, former]));
  };

  /** What may come later, and is done at the next start if it is not now. */
  const cleaned = (work: () => Promise<void>): void => {
    queued(work).catch((error: unknown) => {
      at.log({ err: errorData(error).message }, "what an upgrade left is not cleaned up");
    });
  };

  const clean = async (kept: readonly string[]): Promise<void> => {
    await disarm();
    for (const each of readdirSync(at.releases))
      if (!kept.includes(each)) rmSync(join(at.releases, each), { recursive: true });
  };

  const tidy = async (): Promise<void> => {
    const current = linkTarget(at.current);
    const former = linkTarget(at.former);
    // Killed before the switch: there is nothing to go back from.
    if (former !== null && former === current) rmSync(at.former, { force: true });
    if (linkTarget(at.former) !== null) return;
    await disarm();
    if (current === null) return;
    await putUnit(current);
    await putWayBack();
  };

  return {
    running,
    offer: (manifest) => queued(() => roomFor(manifest.release, () => stage(manifest))),
    piece: (release, fileName, offset, bytes) =>
      queued(() => roomFor(release, () => take(release, fileName, offset, bytes))),
    start: (release) => queued(() => start(release)),
    restart: () => at.restartAgent(),
    confirm: (release) => {
      confirm(release);
    },
    tidy: () => {
      cleaned(tidy);
    },
    settled: async () => {
      await last;
    },
  };
}

const stagingMark = ".new-";
const manifestFile = "manifest.json";

/** The error of an upgrade, made here only. */
function upgradeError(code: "upgrade_refused" | "upgrade_failed", message: string): StackctlError {
  return new StackctlError(code, message);
}

/** Unpacks a file that arrived; what is not exactly what was signed is thrown away. */
async function unpack(staging: string, release: string, file: ReleaseFile): Promise<void> {
  const archive = join(staging, `${file.name}.gz`);
  const half = join(staging, `${file.name}.part`);
  const hash = createHash("sha256");
  let size = 0;
  const count = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      size += chunk.byteLength;
      hash.update(chunk);
      // What unpacks to more than was said is not written to the end.
      done(size > file.sizeBytes ? new Error("it is longer than was said") : null, chunk);
    },
  });
  let why: string | null = null;
  try {
    await pipeline(
      createReadStream(archive),
      createGunzip(),
      count,
      createWriteStream(half, { mode: 0o600 }),
    );
    if (hash.digest("hex") !== file.sha256) why = "its digest is another";
  } catch (error) {
    if (!(error instanceof Error) || ("code" in error && /^E[A-Z]+$/.test(String(error.code)))) throw error;
    why = error.message;
  }
  if (why !== null) {
    rmSync(archive, { force: true });
    rmSync(half, { force: true });
    throw upgradeError("upgrade_refused", `${file.name} of ${release} is not what was signed: ${why}`);
  }
  chmodSync(half, file.name === agentUnit ? 0o644 : 0o755);
  const descriptor = openSync(half, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(half, join(staging, file.name));
  rmSync(archive);
}

async function isWhole(folder: string, manifest: ReleaseManifest): Promise<boolean> {
  for (const file of manifest.files) if (!(await isFile(join(folder, file.name), file))) return false;
  return true;
}

/** The same file in some release; it is linked instead of sent. */
async function findSame(releases: string, file: ReleaseFile): Promise<string | null> {
  for (const release of readdirSync(releases)) {
    if (release.startsWith(stagingMark)) continue;
    const path = join(releases, release, file.name);
    if (await isFile(path, file)) return path;
  }
  return null;
}

async function isFile(path: string, file: ReleaseFile): Promise<boolean> {
  if (sizeOf(path) !== file.sizeBytes) return false;
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1 << 18 }), hash);
  return hash.digest("hex") === file.sha256;
}

function sizeOf(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.size ?? null;
}

/** Where a link leads, its last word; null: there is none. */
function linkTarget(path: string): string | null {
  try {
    return basename(readlinkSync(path));
  } catch (error) {
    if (isMissing(error)) return null;
    throw fileFailed("read", path, error);
  }
}

/** Makes a link, or leads it elsewhere, in one step that is on disk when this returns. */
function putLink(path: string, target: string): void {
  rmSync(`${path}.new`, { force: true });
  symlinkSync(target, `${path}.new`);
  renameSync(`${path}.new`, path);
  syncFolder(dirname(path));
}

/** Goes back: one rename takes the way back away and switches over, so that nothing lies between. */
function goBackService({ current, former, units }: ReleasesAt): string {
  const unit = join(units, agentUnit);
  return `# Managed by stackctl: at work while a new release of its agent waits to be confirmed.
[Unit]
Description=stackctl agent: back to the former release, for nobody confirmed the new one
ConditionPathIsSymbolicLink=${former}

[Service]
Type=oneshot
ExecStart=/usr/bin/mv -fT ${former} ${current}
ExecStart=/usr/bin/sync ${dirname(current)}
# The unit goes back too; a release from before units were part of it has none, and keeps the one that is there.
ExecStart=-/bin/sh -c 'cmp -s ${current}/${agentUnit} ${unit} || { install -m 644 ${current}/${agentUnit} ${unit}.new && mv -fT ${unit}.new ${unit} && systemctl daemon-reload; }'
# An agent that hangs would take its time to stop.
ExecStart=-/usr/bin/systemctl kill --signal=KILL ${agentUnit}
ExecStart=/usr/bin/systemctl restart --no-block ${agentUnit}
ExecStart=-/bin/rm -f ${join(units, "timers.target.wants", goBackUnits.timer)}
`;
}

function goBackTimer(): string {
  return `# Managed by stackctl: at work while a new release of its agent waits to be confirmed.
[Unit]
Description=stackctl agent: time in which its new release has to be confirmed

[Timer]
OnActiveSec=${String(confirmSeconds)}s
AccuracySec=100ms
Unit=${goBackUnits.service}

[Install]
WantedBy=timers.target
`;
}
