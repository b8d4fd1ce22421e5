import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { hostContractOn } from "../contract/run-on-lab.ts";
import { leftovers } from "../lab/leftovers.ts";
import { readLab } from "../lab/lab.ts";
import { root } from "../stack.ts";

/** A lab of one host, beside any other. */
const name = "contract";
const networks = ["--management", "10.31.0.0/24", "--public", "192.168.31.0/24", "--data", "10.31.1.0/24"];

function labCommand(...args: string[]): void {
  execFileSync(process.execPath, [join(root, "tests/lab/main.ts"), ...args], { stdio: "inherit" });
}

beforeAll(() => {
  labCommand("up", "--name", name, "--controllers", "0", "--computes", "1", ...networks, "--fresh");
});

afterAll(async () => {
  labCommand("down", "--name", name);
  expect(await leftovers(name)).toEqual([]);
});

it("what the fake host and the agent claim about hosts holds on a real one", async () => {
  const results = await hostContractOn(readLab(name), "compute1");
  expect(results.filter(({ problem }) => problem !== null)).toEqual([]);
  expect(results.length).toBeGreaterThan(15);
});
