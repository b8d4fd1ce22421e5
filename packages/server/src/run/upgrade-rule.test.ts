import type { AgentStatus } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import { canaryOf, hear, judge, told, type Heard, type Verdict } from "./upgrade-rule.ts";

const former = "0.1.0-00000000";
const release = "0.1.0-11111111";
const document = { service: "chrony", epoch: 1, seq: 4, digest: "d4" };
const before = [document];
const second = 1000;

/** A heartbeat of a process that was started at `startedAtMs`. */
const beat = (
  startedAtMs: number,
  runs: string,
  held: Partial<typeof document> | null = {},
): AgentStatus => ({
  version: "0.1.0",
  release: runs,
  bootId: "8c6b2c1e-7d2a-4c7e-9f64-0d9b1f1d2a3b",
  startedAtMs,
  uptimeSeconds: 1,
  residentMiB: 1,
  doing: null,
  documents: held === null ? [] : [{ ...document, ...held, outcome: "unchanged", drifted: [] }],
});
/** What is judged at `atSeconds`, after these heartbeats. */
const after = (
  atSeconds: number,
  beats: readonly (readonly [number, AgentStatus])[],
  more: Partial<Heard> = {},
): Verdict => {
  const heard = beats.reduce(
    (sum, [seconds, status]) => hear(sum, release, status, seconds * second),
    told(0, 100, before),
  );
  return judge({ ...heard, ...more }, "n1", release, atSeconds * second);
};
const old = (): AgentStatus => beat(100, former);

describe("canaryOf", () => {
  const host = (name: string): { name: string; role: "controller" | "compute" } => ({
    name,
    role: name.startsWith("c") ? "controller" : "compute",
  });
  it.each([
    { hosts: ["c1", "c2", "n1", "n2"], canary: "n1" },
    { hosts: ["c1", "c2", "c3"], canary: "c2" },
    { hosts: ["c1"], canary: null },
    { hosts: [], canary: null },
  ])("of $hosts with the primary c1 is $canary", ({ hosts, canary }) => {
    expect(canaryOf(hosts.map(host), "c1")).toBe(canary);
  });
});

describe("a host that was told to run a release", () => {
  it("is waited for while its former process still speaks, and while nobody does", () => {
    expect(after(1, [[1, old()]]).is).toBe("waiting");
    expect(after(39, [[1, old()]]).is).toBe("waiting");
  });

  it("is well once one process was heard for long enough with all that it held, not sooner", () => {
    const beats = [2, 5, 8].map((seconds) => [seconds, beat(200, release)] as const);
    expect(after(5, beats.slice(0, 2)).is).toBe("waiting");
    expect(
      after(
        6,
        beats.map(([, status], index) => [2 + index, status] as const),
      ).is,
    ).toBe("waiting");
    expect(after(8, beats).is).toBe("well");
    const newer = [2, 5, 8].map(
      (seconds) => [seconds, beat(200, release, { seq: 5, digest: "d5" })] as const,
    );
    expect(after(8, newer).is).toBe("well");
  });

  it("counts a heartbeat once", () => {
    const same = beat(200, release);
    expect(
      after(
        20,
        [2, 5, 8].map((seconds) => [seconds, same] as const),
      ).is,
    ).toBe("waiting");
  });

  it.each([
    ["holds no document", null],
    ["holds an older document", { seq: 3, digest: "d3" }],
    ["holds another document of the same number", { digest: "d5" }],
  ])("is not well while it %s, and that is said when it is back", (_name, held) => {
    const beats = [2, 5, 8].map((seconds) => [seconds, beat(200, release, held)] as const);
    expect(after(8, beats).is).toBe("waiting");
    expect(after(40, [...beats, [40, beat(300, former)]])).toMatchObject({
      is: "bad",
      why: `the agent on n1 lost documents with ${release}: chrony; it went back to ${former}`,
    });
  });

  it("is not well while its processes follow each other", () => {
    const beats = [2, 5, 8, 11].map((seconds) => [seconds, beat(200 + seconds, release)] as const);
    expect(after(11, beats).is).toBe("waiting");
    expect(after(40, [...beats, [40, beat(300, former)]])).toMatchObject({
      why: expect.stringContaining("ended again and again") as string,
    });
  });

  it("is bad as soon as its former release speaks with a new process", () => {
    expect(
      after(33, [
        [1, old()],
        [33, beat(300, former)],
      ]),
    ).toEqual({
      is: "bad",
      why: `the agent on n1 did not connect with ${release} within 40 s; it went back to ${former}`,
    });
    const mute = [2, 5, 8].map((seconds) => [seconds, beat(200, release)] as const);
    expect(after(33, [...mute, [33, beat(300, former)]], { unconfirmed: "did not answer" })).toMatchObject({
      why: `the agent on n1 ran ${release} but did not answer; it went back to ${former}`,
    });
  });

  it("is bad when nothing is heard though its time is long over, or when it was never restarted", () => {
    expect(after(64, []).is).toBe("waiting");
    expect(after(66, [])).toMatchObject({ why: expect.stringContaining("n1 is silent") as string });
    const lastWord = [[1, old()]] as const;
    expect(after(66, lastWord)).toMatchObject({ why: expect.stringContaining("n1 is silent") as string });
    const beats = [1, 30, 60].map((seconds) => [seconds, old()] as const);
    expect(after(66, beats)).toMatchObject({ why: "the agent on n1 was not restarted" });
  });

  it("is not bad for running its former release when it is not known which process was told", () => {
    expect(after(3, [[1, old()]], { toldProcess: null }).is).toBe("waiting");
    const seen = [
      [1, beat(200, release)],
      [33, old()],
    ] as const;
    expect(after(33, seen, { toldProcess: null }).is).toBe("bad");
  });
});
