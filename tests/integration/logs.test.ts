import { randomUUID } from "node:crypto";
import { behaviours } from "@stackctl/agent/resources/index.ts";
import type { ApiAnswer, ApiRequest, Resource } from "@stackctl/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeFleet, type FleetWorld } from "./fleet-world.ts";
import { until } from "./world.ts";

const names = ["a1", "a2", "a3"];
const unit = "chrony.service";
const time: Resource = {
  type: "chrony",
  name: "chrony",
  spec: { servers: ["ntp1.example"], allow: [], stepThresholdSeconds: 1 },
};

let fleet: FleetWorld;
beforeEach(async () => {
  fleet = await makeFleet(names, behaviours, () => null);
  for (const name of names) await fleet.apply(name, "chrony", [time]);
});
afterEach(async () => {
  await fleet.close();
});

/** A command line that reads: it asks again with the cursor that it got. */
class Reader {
  readonly asked: Omit<ApiRequest<"logs">, "after" | "waitMs">;
  readonly lines: string[] = [];
  last: ApiAnswer<"logs"> | null = null;

  constructor(more: Partial<ApiRequest<"logs">> = {}) {
    this.asked = {
      reading: randomUUID(),
      service: "chrony",
      host: null,
      lines: 50,
      sinceUs: null,
      follow: true,
      ...more,
    };
  }

  async ask(waitMs = 3000): Promise<ApiAnswer<"logs">> {
    const newestUs = this.last?.newestUs ?? null;
    const resumed = newestUs === null ? this.asked : { ...this.asked, lines: 1000, sinceUs: newestUs + 1 };
    const asked = { ...resumed, after: this.last?.next ?? 0, waitMs };
    this.last = await fleet.server().logs.read(asked, () => names);
    this.lines.push(...this.last.lines.map(({ host, text }) => `${host} ${text}`));
    return this.last;
  }

  async untilLine(text: string): Promise<void> {
    await until(`a line ${text}`, async () => {
      if (!this.lines.some((line) => line.includes(text))) await this.ask(500);
      return this.lines.some((line) => line.includes(text));
    });
  }

  problems(): string[] {
    return (this.last?.hosts ?? []).flatMap(({ host, problem }) =>
      problem === null ? [] : [`${host} ${problem}`],
    );
  }
}

const say = (host: string, text: string, atUs?: number): void => {
  fleet.host(host).fake.say(unit, text, atUs);
};
const readers = (): number => names.reduce((sum, name) => sum + fleet.host(name).fake.journalReaders.size, 0);

describe("the last lines", () => {
  it("of all hosts come merged by time, as many as were asked for, to the end", async () => {
    for (let n = 0; n < 30; n++) say(names[n % 3] ?? "", String(n), 1_000_000 * n);
    const reader = new Reader({ follow: false, lines: 10 });
    expect(await reader.ask()).toMatchObject({ done: true, earlier: false });
    expect(reader.lines).toEqual(
      Array.from({ length: 10 }, (_, index) => `${names[(index + 20) % 3] ?? ""} ${String(index + 20)}`),
    );
    expect(readers()).toBe(0);
  });

  it("since a time are only those, and more than were asked for are said to be there", async () => {
    for (let n = 0; n < 30; n++) say("a1", String(n), 1_000_000 * n);
    const all = new Reader({ follow: false, lines: 10, sinceUs: 20_000_000 });
    expect(await all.ask()).toMatchObject({ done: true, earlier: false });
    expect(all.lines).toHaveLength(10);
    const some = new Reader({ follow: false, lines: 9, sinceUs: 20_000_000 });
    expect(await some.ask()).toMatchObject({ done: true, earlier: true });
    expect(some.lines.at(0)).toBe("a1 21");
  });

  it("are shown without those of a host that is off, which is named", async () => {
    for (const name of names) say(name, "here");
    await fleet.host("a2").kill();
    await until("a2 is silent", () => fleet.server().fleet.presence("a2")?.state === "silent");
    const reader = new Reader({ follow: false });
    expect((await reader.ask()).done).toBe(true);
    expect(reader.lines.toSorted()).toEqual(["a1 here", "a3 here"]);
    expect(reader.problems()).toEqual([expect.stringMatching(/^a2 is off since \d\d:\d\d:\d\d$/)]);
  });

  it("of a service that a host does not have yet are named too", async () => {
    const reader = new Reader({ follow: false, service: "memcached" });
    expect((await reader.ask()).done).toBe(true);
    expect(reader.problems()).toEqual(names.map((name) => `${name} does not have memcached yet`));
  });

  it("come whole also when they are more than one message may hold", async () => {
    for (let n = 0; n < 1000; n++) say("a1", `${String(n)} ${'\u001b"'.repeat(150)}`);
    const reader = new Reader({ follow: false, lines: 1000 });
    while (reader.last?.done !== true) await reader.ask();
    expect(reader.lines.map((line) => Number(line.split(" ")[1]))).toEqual(
      Array.from({ length: 1000 }, (_, index) => index),
    );
  });
});

describe("who follows", () => {
  it("sees a new line at once, several at a time do, and each ends for itself", async () => {
    const [one, two] = [new Reader({ lines: 0 }), new Reader()];
    say("a1", "before");
    await Promise.all([one.ask(0), two.untilLine("before")]);
    await until("both are read on all hosts", () => readers() === 6);
    const begun = performance.now();
    say("a3", "now");
    await Promise.all([one.untilLine("now"), two.untilLine("now")]);
    expect(performance.now() - begun).toBeLessThan(2000);
    expect(one.lines).toEqual(["a3 now"]);
    fleet.server().logs.end(one.asked.reading);
    await until("one is read no more", () => readers() === 3);
    say("a2", "later");
    await two.untilLine("later");
    fleet.server().logs.end(two.asked.reading);
    await until("nothing is left", () => readers() === 0);
  });

  it("gets the same lines again when the answer was lost, and none twice", async () => {
    const reader = new Reader();
    say("a1", "first");
    await reader.untilLine("first");
    const before = reader.last;
    say("a1", "second");
    await reader.untilLine("second");
    const { asked } = reader;
    const again = await fleet
      .server()
      .logs.read({ ...asked, after: (reader.last?.next ?? 0) - 1, waitMs: 0 }, () => names);
    expect(again.lines.map(({ text }) => text)).toEqual(["second"]);
    expect(again.next).toBe((before?.next ?? 0) + 1);
  });

  it("goes on after a restart of an agent with what it missed", async () => {
    const reader = new Reader();
    say("a1", "before");
    await reader.untilLine("before");
    await fleet.host("a1").kill();
    expect(fleet.host("a1").fake.journalReaders.size).toBe(0);
    say("a1", "meanwhile");
    await until("a1 is named", async () => {
      await reader.ask(500);
      return reader.problems().some((problem) => problem.startsWith("a1 is off"));
    });
    fleet.host("a1").start();
    await reader.untilLine("meanwhile");
    await until("a1 is shown again", async () => {
      await reader.ask(500);
      return reader.problems().length === 0;
    });
    expect(reader.lines.filter((line) => line === "a1 before")).toHaveLength(1);
  });

  it("goes on over a server that was killed, without a line lost or shown twice", async () => {
    const reader = new Reader();
    say("a1", "before");
    await reader.untilLine("before");
    await fleet.server().kill();
    say("a2", "meanwhile");
    await fleet.startServer();
    await until("the hosts are heard", () =>
      names.every((name) => fleet.server().fleet.presence(name)?.state === "ok"),
    );
    await reader.untilLine("meanwhile");
    say("a3", "after");
    await reader.untilLine("after");
    expect(reader.lines).toEqual(["a1 before", "a2 meanwhile", "a3 after"]);
  });

  it("and is killed leaves nothing behind on any host", async () => {
    const reader = new Reader();
    await reader.ask(0);
    await until("it is read", () => readers() === 3);
    await until("nothing is left", () => readers() === 0, 40_000);
  });
});

describe("a flood", () => {
  it("costs lines and not memory, says how many, and keeps nobody else waiting", async () => {
    const reader = new Reader({ lines: 0 });
    await reader.ask(0);
    await until("it is read", () => readers() === 3);
    const many = 3000;
    for (let n = 0; n < many; n++) say("a1", "x".repeat(2000));
    say("a2", "quiet");
    await reader.untilLine("a2 quiet");
    const shown = (): number => reader.lines.filter((line) => line.startsWith("a1")).length;
    const left = (): number => reader.last?.hosts.find(({ host }) => host === "a1")?.dropped ?? 0;
    await until("every line is accounted for", async () => {
      await reader.ask(200);
      return shown() + left() >= many;
    });
    expect(shown() + left()).toBe(many);
    expect(left()).toBeGreaterThan(0);
    expect(await fleet.server().ask("a1", { kind: "ping" })).toHaveProperty("version");
  });
});
