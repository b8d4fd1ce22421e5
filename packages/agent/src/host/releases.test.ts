import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import type { ReleaseFileName, ReleaseManifest } from "@stackctl/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { releasesOn, type Releases } from "./releases.ts";

const first = "0.1.0-00000000";
const second = "0.1.0-11111111";

let folder: string;
/** The call to systemd that fails next. */
let fails: "countFromNow" | "readUnits" | null;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stackctl-releases-"));
  fails = null;
  mkdirSync(join(folder, "releases", first), { recursive: true });
  mkdirSync(join(folder, "units"));
  for (const name of ["node", "agent.cjs"])
    writeFileSync(join(folder, "releases", first, name), `${first} ${name}`);
  symlinkSync(join(folder, "releases", first), join(folder, "current"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const at = (...names: string[]): string => join(folder, ...names);
const current = (): string => basename(readlinkSync(at("current")));
const isArmed = (): boolean => existsSync(at("former"));
/** The agent as a process that was started from what is current. */
const process = (): Releases => {
  const call = (name: "countFromNow" | "readUnits") => (): Promise<void> =>
    fails === name ? Promise.reject(new Error(`${name} failed`)) : Promise.resolve();
  return releasesOn({
    releases: at("releases"),
    current: at("current"),
    former: at("former"),
    units: at("units"),
    program: at("releases", current(), "node"),
    countFromNow: call("countFromNow"),
    stopTimer: () => Promise.resolve(),
    readUnits: call("readUnits"),
    restartAgent: () => Promise.resolve(),
    log: () => undefined,
  });
};
const tidied = async (releases: Releases): Promise<void> => {
  releases.tidy();
  await releases.settled();
};
/** What the way back does when its time is up: its one rename. */
const goBack = (): void => {
  if (isArmed()) renameSync(at("former"), at("current"));
};

interface Sent {
  readonly manifest: ReleaseManifest;
  readonly archives: ReadonlyMap<ReleaseFileName, Buffer>;
}
const make = (release: string, texts: Partial<Record<ReleaseFileName, string>> = {}): Sent => {
  const contents = Object.entries({
    node: `${first} node`,
    "agent.cjs": `${release} ${"x".repeat(5000)}`,
    "stackctl-agent.service": `# ${release}\n`,
    ...texts,
  }) as [ReleaseFileName, string][];
  const archives = new Map(contents.map(([name, text]) => [name, gzipSync(text)]));
  const files = contents.map(([name, text]) => ({
    name,
    sha256: createHash("sha256").update(text).digest("hex"),
    sizeBytes: text.length,
    archiveBytes: archives.get(name)?.length ?? 0,
  }));
  return { manifest: { release, version: "0.1.0", files }, archives };
};
/** Sends what is missing, in small pieces. */
const send = async (releases: Releases, { manifest, archives }: Sent): Promise<string[]> => {
  const sent = new Set<string>();
  let missing = await releases.offer(manifest);
  for (let next = missing[0]; next !== undefined; next = missing[0]) {
    sent.add(next.name);
    const piece = archives.get(next.name)?.subarray(next.offset, next.offset + 20) ?? Buffer.alloc(0);
    missing = await releases.piece(manifest.release, next.name, next.offset, piece);
  }
  return [...sent].toSorted();
};
/** A host that runs `second`, unconfirmed. */
const started = async (): Promise<Releases> => {
  await send(process(), make(second));
  await process().start(second);
  return process();
};

describe("a release that is sent", () => {
  it("is there whole or not at all, and what the host has is linked", async () => {
    const releases = process();
    const sent = make(second);
    const { manifest, archives } = sent;
    expect(await releases.offer(manifest)).toEqual([
      { name: "agent.cjs", offset: 0 },
      { name: "stackctl-agent.service", offset: 0 },
    ]);
    await releases.piece(
      second,
      "agent.cjs",
      0,
      (archives.get("agent.cjs") ?? Buffer.alloc(0)).subarray(0, 10),
    );
    expect(existsSync(at("releases", second))).toBe(false);
    // Another life of the agent goes on where this one was.
    expect((await process().offer(manifest))[0]).toEqual({ name: "agent.cjs", offset: 10 });
    expect(await send(process(), sent)).toEqual(["agent.cjs", "stackctl-agent.service"]);
    expect(readFileSync(at("releases", second, "agent.cjs"), "utf8")).toContain(second);
    expect(statSync(at("releases", second, "node")).ino).toBe(statSync(at("releases", first, "node")).ino);
    expect(readdirSync(at("releases"))).toEqual([first, second]);
    expect(await send(process(), sent)).toEqual([]);
  });

  it("does not take a piece twice, nor out of order", async () => {
    const releases = process();
    const { manifest, archives } = make(second);
    await releases.offer(manifest);
    const whole = archives.get("agent.cjs") ?? Buffer.alloc(0);
    for (const [offset, has] of [
      [0, 10],
      [0, 10],
      [30, 10],
      [10, 20],
    ] as const) {
      const missing = await releases.piece(second, "agent.cjs", offset, whole.subarray(offset, offset + 10));
      expect(missing[0]).toEqual({ name: "agent.cjs", offset: has });
    }
  });

  it.each([
    ["another content", Buffer.from(gzipSync("y".repeat(5000)))],
    ["what unpacks to more than was said", gzipSync("x".repeat(50_000))],
    ["no gzip", Buffer.from("rogue")],
  ])("is refused with %s, and nothing of that stays", async (_name, bytes) => {
    const releases = process();
    const { manifest } = make(second);
    const files = manifest.files.map((file) =>
      file.name === "agent.cjs" ? { ...file, archiveBytes: bytes.length } : file,
    );
    await releases.offer({ ...manifest, files });
    await expect(releases.piece(second, "agent.cjs", 0, bytes)).rejects.toMatchObject({
      code: "upgrade_refused",
    });
    expect(readdirSync(at("releases", `.new-${second}`)).filter((name) => name.startsWith("agent"))).toEqual(
      [],
    );
    await expect(releases.start(second)).rejects.toMatchObject({ code: "upgrade_refused" });
    expect(current()).toBe(first);
  });

  it("is refused when it was not offered, or is longer than was said", async () => {
    const releases = process();
    const bytes = Buffer.from("x".repeat(9000));
    await expect(releases.piece(second, "agent.cjs", 0, bytes)).rejects.toMatchObject({
      code: "upgrade_refused",
    });
    await releases.offer(make(second).manifest);
    await expect(releases.piece(second, "agent.cjs", 0, bytes)).rejects.toMatchObject({
      code: "upgrade_refused",
    });
  });

  it("replaces a damaged one of its name that does not run, and never one that does", async () => {
    const sent = make(second);
    await send(process(), sent);
    writeFileSync(at("releases", second, "agent.cjs"), "damaged");
    expect(await send(process(), sent)).toEqual(["agent.cjs"]);
    expect(readFileSync(at("releases", second, "agent.cjs"), "utf8")).toContain(second);
    await process().start(second);
    writeFileSync(at("releases", second, "agent.cjs"), "damaged");
    await expect(send(process(), sent)).rejects.toMatchObject({ code: "upgrade_refused" });
  });
});

describe("a release that is started", () => {
  it("brings its unit, is left by itself unless it is confirmed, and then stays with only the one before it", async () => {
    const releases = await started();
    expect([current(), isArmed()]).toEqual([second, true]);
    expect(readFileSync(at("units", "stackctl-agent.service"), "utf8")).toBe(`# ${second}\n`);
    expect(readdirSync(at("units", "timers.target.wants"))).toHaveLength(1);
    mkdirSync(at("releases", "0.0.1-22222222"));
    releases.confirm(second);
    expect([current(), isArmed()]).toEqual([second, false]);
    await releases.settled();
    expect(readdirSync(at("units", "timers.target.wants"))).toEqual([]);
    expect(readdirSync(at("releases"))).toEqual([first, second]);
    goBack();
    expect(current()).toBe(second);
    releases.confirm(second);
  });

  it("cannot be confirmed by another one, nor once the host went back", async () => {
    await send(process(), make(second));
    const before = process();
    await before.start(second);
    expect(() => {
      before.confirm(second);
    }).toThrow(expect.objectContaining({ code: "upgrade_refused" }));
    const releases = process();
    goBack();
    expect(() => {
      releases.confirm(second);
    }).toThrow(expect.objectContaining({ code: "upgrade_refused" }));
    expect(current()).toBe(first);
  });

  it("is not started while another one waits to be confirmed, and the same again changes nothing", async () => {
    const releases = await started();
    await releases.start(second);
    await send(releases, make("0.1.0-33333333"));
    await expect(releases.start("0.1.0-33333333")).rejects.toMatchObject({ code: "upgrade_refused" });
    expect(basename(readlinkSync(at("former")))).toBe(first);
  });

  it("leaves all as it was when the way back cannot be armed", async () => {
    await send(process(), make(second));
    fails = "countFromNow";
    await expect(process().start(second)).rejects.toThrow("countFromNow failed");
    expect([current(), isArmed()]).toEqual([first, false]);
    expect(readdirSync(at("units", "timers.target.wants"))).toEqual([]);
  });

  it("goes back when it was switched to and nothing more", async () => {
    await tidied(process());
    await send(process(), make(second));
    fails = "readUnits";
    await expect(process().start(second)).rejects.toThrow("readUnits failed");
    expect([current(), isArmed()]).toEqual([second, true]);
    goBack();
    expect(current()).toBe(first);
  });
});

describe("the agent's start", () => {
  it("ends what a power cut left before the switch", async () => {
    await started();
    goBack();
    symlinkSync(at("releases", first), at("former"));
    await tidied(process());
    expect([current(), isArmed()]).toEqual([first, false]);
    expect(readdirSync(at("units", "timers.target.wants"))).toEqual([]);
  });

  it("leaves the way back armed while nobody has confirmed", async () => {
    const releases = await started();
    await tidied(releases);
    expect(isArmed()).toBe(true);
    expect(readdirSync(at("units", "timers.target.wants"))).toHaveLength(1);
  });

  it("puts the unit of its release where a power cut left another one", async () => {
    const releases = await started();
    releases.confirm(second);
    writeFileSync(at("units", "stackctl-agent.service"), "# another\n");
    await tidied(process());
    expect(readFileSync(at("units", "stackctl-agent.service"), "utf8")).toBe(`# ${second}\n`);
  });
});
