import { expect, it } from "vitest";
import { lastLines, query } from "./query.ts";

it("gives exit code and both outputs, with an environment of its own", async () => {
  process.env["STACKCTL_TEST_LEAK"] = "x";
  expect(await query("sh", ["-c", "echo out; echo err >&2; exit 3"])).toEqual({
    code: 3,
    stdout: "out\n",
    stderr: "err\n",
  });
  expect((await query("env", [])).stdout).not.toContain("STACKCTL_TEST_LEAK");
});

it("says that it was ended by a signal", async () => {
  expect((await query("sh", ["-c", "kill -9 $$"])).code).toBeNull();
});

it("ends what takes too long", async () => {
  await expect(query("sleep", ["30"], 50)).rejects.toMatchObject({ code: "command_timeout" });
});

it("names what is not there", async () => {
  await expect(query("stackctl-nosuch", [])).rejects.toMatchObject({
    code: "command_failed",
    message: expect.stringContaining("stackctl-nosuch") as string,
  });
});

it("keeps the end of what was said", () => {
  const lines = Array.from({ length: 50 }, (_, index) => String(index));
  expect(lastLines(`${lines.join("\n")}\n`).split("\n")).toEqual(lines.slice(-20));
});
