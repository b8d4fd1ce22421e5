import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { whileWaiting } from "./waiting.ts";

let written: string[];

beforeEach(() => {
  vi.useFakeTimers();
  written = [];
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    written.push(String(text));
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Work that takes so long, while the clock runs. */
async function waits(ms: number, what: string | (() => string)): Promise<string> {
  const work = whileWaiting(what, new Promise<string>((resolve) => setTimeout(resolve, ms, "answer")));
  await vi.advanceTimersByTimeAsync(ms);
  return work;
}

describe("a wait", () => {
  it("of up to 2 s is silent", async () => {
    await expect(waits(1900, "asking the hosts")).resolves.toBe("answer");
    expect(written).toEqual([]);
  });

  it("that is longer says what for and since when, once in a pipe", async () => {
    await waits(9000, "asking the hosts");
    expect(written).toEqual(["asking the hosts, 2 s\n"]);
  });

  it("says it again when it becomes a wait for something else", async () => {
    const begun = performance.now();
    await waits(5200, () => (performance.now() - begun < 4000 ? "starting" : "fetching nats-server"));
    expect(written).toEqual(["starting, 2 s\n", "fetching nats-server, 4 s\n"]);
  });

  it("on a terminal is one line that is redrawn and gone at the end", async () => {
    const before = process.stderr.isTTY;
    process.stderr.isTTY = true;
    try {
      await waits(3200, "asking the hosts");
    } finally {
      process.stderr.isTTY = before;
    }
    expect(written.length).toBe(4);
    expect(written.every((text) => text.startsWith("\r") && !text.includes("\n"))).toBe(true);
    expect(written.at(-1)).toBe("\r\u001b[K");
  });

  it("that fails stops talking", async () => {
    const work = whileWaiting("asking", new Promise((_, reject) => setTimeout(reject, 100, new Error("no"))));
    const failed = expect(work).rejects.toThrow("no");
    await vi.advanceTimersByTimeAsync(9000);
    await failed;
    expect(written).toEqual([]);
  });
});
