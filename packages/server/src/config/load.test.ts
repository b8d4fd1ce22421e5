import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StackctlError, type Mistake } from "@stackctl/protocol";
import { initAnswers, renderInit } from "./init.ts";
import { parseCloud } from "./load.ts";

const broken = join(import.meta.dirname, "../../../../tests/broken");
const expected = JSON.parse(readFileSync(join(broken, "expected.json"), "utf8")) as Record<
  string,
  Omit<Mistake, "file">[]
>;
const files = readdirSync(broken).filter((file) => file.endsWith(".yaml"));

function mistakesOf(text: string): Mistake[] {
  try {
    parseCloud(text, "/somewhere/cloud.yaml");
    return [];
  } catch (error) {
    if (error instanceof StackctlError && error.code === "cloud_invalid")
      return [...(error.details.mistakes ?? [])];
    throw error;
  }
}

describe("parseCloud", () => {
  it.each(files)("tells every mistake of %s with its place", (file) => {
    const mistakes = mistakesOf(readFileSync(join(broken, file), "utf8"));
    expect(mistakes.map(({ line, column, path, message }) => ({ line, column, path, message }))).toEqual(
      expected[file],
    );
    expect(mistakes.length).toBeGreaterThan(0);
  });

  it("has an expectation for every broken file and no other", () => {
    expect(Object.keys(expected).toSorted()).toEqual(files.toSorted());
  });

  it("takes what init writes, with every answer in its place", () => {
    const answers = fc.record({
      name: fc.stringMatching(/^[a-z][a-z0-9]{0,10}$/),
      controllers: fc.integer({ min: 1, max: 5 }),
      computes: fc.integer({ min: 0, max: 20 }),
      ssh: fc.record({
        user: fc.constantFrom("root", "ops"),
        port: fc.integer({ min: 1, max: 65535 }),
        privateKey: fc.constantFrom("~/.ssh/id", "/k", null),
        jumpHost: fc.constantFrom(null, "bastion", "ops@10.0.0.1:2222"),
      }),
      packages: fc.record({
        proxy: fc.constantFrom(null, "http://user@10.0.0.1:3128", "http://proxy.example.org:3128"),
        mirror: fc.constantFrom(null, "http://10.0.0.1:3142/debian"),
      }),
      absentAfter: fc.constantFrom(null, "90s", "2h"),
      server: fc.record({ address: fc.constantFrom(null, "10.10.0.1"), port: fc.constantFrom(null, 4333) }),
    });
    fc.assert(
      fc.property(answers, (given) => {
        const { cloud } = parseCloud(renderInit(initAnswers.parse(given)), "/x/cloud.yaml");
        expect(cloud.name).toBe(given.name);
        expect(cloud.hosts.filter(({ role }) => role === "controller")).toHaveLength(given.controllers);
        expect(cloud.hosts.filter(({ role }) => role === "compute")).toHaveLength(given.computes);
        expect(cloud.ssh.user).toBe(given.ssh.user);
        expect(cloud.ssh.port).toBe(given.ssh.port);
        expect(cloud.ssh.privateKey === null).toBe(given.ssh.privateKey === null);
        expect(cloud.ssh.jumpHost).toEqual(
          new Map([
            ["bastion", { host: "bastion", user: given.ssh.user, port: 22, hostKey: null }],
            ["ops@10.0.0.1:2222", { host: "10.0.0.1", user: "ops", port: 2222, hostKey: null }],
          ]).get(given.ssh.jumpHost ?? "") ?? null,
        );
        expect(cloud.packages.mirror).toBe(given.packages.mirror);
        expect(cloud.packages.proxyUser).toBe(given.packages.proxy?.includes("@") === true ? "user" : null);
        expect(cloud.absentAfterSeconds).toBe(
          new Map([
            ["90s", 90],
            ["2h", 7200],
          ]).get(given.absentAfter ?? "") ?? 300,
        );
        expect(cloud.server.port).toBe(given.server.port ?? 4222);
      }),
      { numRuns: 200 },
    );
  });

  it("never throws anything but a list of mistakes, whatever the text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), fc.string({ unit: "binary" })), (text) => {
        mistakesOf(text);
      }),
      { numRuns: 1000 },
    );
  });

  it("needs at most 25 lines of a stranger's own", () => {
    const lines = renderInit(initAnswers.parse({})).split("\n");
    expect(lines.filter((line) => line !== "" && !line.startsWith("#")).length).toBeLessThanOrEqual(25);
  });

  it("keeps the line of a key for causes, the nearest parent's when it is not there", () => {
    const text = renderInit(initAnswers.parse({}));
    const loaded = parseCloud(text, "/x/cloud.yaml");
    const lineOf = (start: string): number =>
      text.split("\n").findIndex((line) => line.trimStart().startsWith(start)) + 1;
    expect(loaded.origin(["time", "servers"])).toBe(`cloud.yaml:${String(lineOf("time:"))}`);
    expect(loaded.origin(["hosts", "controller2", "public"])).toBe(
      `cloud.yaml:${String(lineOf("controller2:"))}`,
    );
  });
});
