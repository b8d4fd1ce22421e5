import { randomUUID } from "node:crypto";
import type { AgentRequest, LogBatch } from "@stackctl/protocol";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeHost } from "../testing/fake-host.ts";
import { Budget } from "./budget.ts";
import { Readings } from "./readings.ts";

type Asked = Extract<AgentRequest, { kind: "logs" }>;
const unit = "chrony.service";
const ask = (more: Partial<Asked> = {}): Asked => ({
  kind: "logs",
  reading: randomUUID(),
  service: "chrony",
  lines: 10,
  sinceUs: null,
  follow: true,
  ...more,
});

let host: FakeHost;
let sent: LogBatch[];
let isConnected: boolean;
let readings: Readings;
beforeEach(() => {
  vi.useFakeTimers();
  host = new FakeHost();
  sent = [];
  isConnected = true;
  readings = new Readings({
    journal: host.journal,
    sources: (word) => (word === "chrony" ? [{ kind: "unit", name: "chrony", unit, program: null }] : []),
    send: (batch) => {
      if (isConnected) sent.push(batch);
      return isConnected;
    },
    log: () => undefined,
  });
});
afterEach(() => {
  readings.close();
  vi.useRealTimers();
});

const texts = (): string[] => sent.flatMap(({ lines }) => lines.map(({ text }) => text));
const dropped = (): number => sent.reduce((sum, batch) => sum + batch.dropped, 0);

describe("a reading", () => {
  it("sends the last lines at once and says that these were all, then what comes, in batches", async () => {
    for (const text of ["a", "b", "c"]) host.say(unit, text);
    host.say("docker.service", "another's");
    const asked = ask({ lines: 2 });
    expect(readings.ask(asked)).toBe("reading");
    await vi.advanceTimersByTimeAsync(0);
    expect(sent).toMatchObject([{ reading: asked.reading, caughtUp: true, ended: false, dropped: 0 }]);
    expect(texts()).toEqual(["b", "c"]);
    host.say(unit, "d");
    host.say(unit, "e");
    expect(sent).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(100);
    expect(sent).toHaveLength(2);
    expect(texts()).toEqual(["b", "c", "d", "e"]);
  });

  it("that does not follow ends by itself, and says so", async () => {
    host.say(unit, "a");
    readings.ask(ask({ follow: false }));
    await vi.advanceTimersByTimeAsync(0);
    expect(sent.at(-1)).toMatchObject({ ended: true, why: null });
    expect(texts()).toEqual(["a"]);
  });

  it("ends when it is not asked for again, and goes on while it is", async () => {
    const asked = ask();
    readings.ask(asked);
    for (let n = 0; n < 5; n++) {
      await vi.advanceTimersByTimeAsync(20_000);
      expect(readings.ask(asked)).toBe("reading");
      expect(host.journalReaders.size).toBe(1);
    }
    await vi.advanceTimersByTimeAsync(30_000);
    expect(host.journalReaders.size).toBe(0);
    const before = sent.length;
    host.say(unit, "unheard");
    await vi.advanceTimersByTimeAsync(1000);
    expect(sent).toHaveLength(before);
  });

  it("ends at once when nobody reads any more, and with the agent", async () => {
    const [one, two] = [ask(), ask()];
    readings.ask(one);
    readings.ask(two);
    await vi.advanceTimersByTimeAsync(0);
    expect(host.journalReaders.size).toBe(2);
    readings.end(one.reading);
    readings.end(one.reading);
    expect(host.journalReaders.size).toBe(1);
    readings.close();
    expect(host.journalReaders.size).toBe(0);
  });

  it("is only of what the host's documents name, and not one of too many", async () => {
    expect(readings.ask(ask({ service: "sshd" }))).toBe("unknown");
    const states = Array.from({ length: 9 }, () => readings.ask(ask()));
    expect(states).toEqual([...Array.from({ length: 8 }, () => "reading"), "busy"]);
    await vi.advanceTimersByTimeAsync(0);
    expect(host.journalReaders.size).toBe(8);
  });

  it("that fails says why", async () => {
    host.journal.read = () => Promise.reject(new Error("journalctl is not there"));
    readings.ask(ask());
    await vi.advanceTimersByTimeAsync(0);
    expect(sent.at(-1)).toMatchObject({
      ended: true,
      why: expect.stringContaining("not there") as string,
    });
  });
});

describe("a flood", () => {
  it("is counted where it is more than may be sent, every batch is small, and nothing is lost without a word", async () => {
    readings.ask(ask());
    await vi.advanceTimersByTimeAsync(0);
    const many = 1500;
    for (let n = 0; n < many; n++) host.say(unit, `${String(n)} ${'"\\\u001b'.repeat(300)}`);
    await vi.advanceTimersByTimeAsync(100);
    const arrived = texts().length;
    expect(arrived).toBeGreaterThan(100);
    expect(arrived).toBeLessThan(many);
    expect(arrived + dropped()).toBe(many);
    const sizes = sent.map((batch) => Buffer.byteLength(JSON.stringify(JSON.stringify(batch))));
    expect(Math.max(...sizes)).toBeLessThan(80 * 1024);
    await vi.advanceTimersByTimeAsync(1000);
    host.say(unit, "after it");
    await vi.advanceTimersByTimeAsync(100);
    expect(texts().at(-1)).toBe("after it");
  });

  it("while nobody is connected takes no memory, and is told of afterwards", async () => {
    readings.ask(ask());
    await vi.advanceTimersByTimeAsync(0);
    isConnected = false;
    for (let n = 0; n < 300; n++) host.say(unit, String(n));
    await vi.advanceTimersByTimeAsync(500);
    isConnected = true;
    host.say(unit, "back");
    await vi.advanceTimersByTimeAsync(100);
    expect(texts()).toEqual(["back"]);
    expect(dropped()).toBe(300);
  });
});

it("a budget is full at first, fills with time, and holds no more than it may", () => {
  let now = 0;
  const budget = new Budget(100, 10, () => now);
  expect([budget.take(90), budget.take(90), budget.take(1)]).toEqual([true, true, false]);
  now = 8000;
  expect(budget.hasRoom()).toBe(false);
  now = 8100;
  expect(budget.take(1)).toBe(true);
  now = 1_000_000;
  expect([budget.take(100), budget.hasRoom()]).toEqual([true, false]);
});
