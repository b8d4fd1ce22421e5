import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { needTools } from "./lab/up.ts";
import { root } from "./stack.ts";

/**
 * `npm test`: static checks, unit, integration on a real nats-server, end to end on a lab of its own. Ends with the
 * line `N passed, N failed`. `--full` adds rounds and drills. Has a deadline of its own that names the slowest phases.
 */
const full = process.argv.includes("--full");
const deadlineMs = (full ? 170 : 80) * 60_000;
const begun = performance.now();
const folder = mkdtempSync(join(tmpdir(), "stackctl-test-"));
const phases: { name: string; seconds: number; passed: number; failed: number }[] = [];

interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numFailedTestSuites: number;
}

async function run(name: string, command: string, args: readonly string[], report?: string): Promise<void> {
  console.log(`\n== ${name}`);
  const started = performance.now();
  const left = Math.floor(deadlineMs - (started - begun));
  const code = left <= 0 ? null : await ended(command, args, left);
  let passed = code === 0 ? 1 : 0;
  let failed = code === 0 ? 0 : 1;
  if (report !== undefined && existsSync(report)) {
    const read = JSON.parse(readFileSync(report, "utf8")) as VitestReport;
    passed = read.numPassedTests;
    // A suite that could not even start has no failed test in it.
    failed = Math.max(read.numFailedTests, read.numFailedTestSuites > 0 || code !== 0 ? 1 : 0);
  }
  phases.push({ name, seconds: (performance.now() - started) / 1000, passed, failed });
}

function ended(command: string, args: readonly string[], timeout: number): Promise<number | null> {
  const child = spawn(command, args, {
    stdio: "inherit",
    cwd: root,
    timeout,
    env: { ...process.env, STACKCTL_FULL: full ? "1" : "" },
  });
  return new Promise((resolve) => {
    child.once("error", () => {
      resolve(null);
    });
    child.once("close", resolve);
  });
}

async function vitest(project: string): Promise<void> {
  const report = join(folder, `${project}.json`);
  await run(
    project,
    "vitest",
    ["run", "--project", project, "--reporter=default", "--reporter=json", `--outputFile.json=${report}`],
    report,
  );
}

await run("types", "tsc", ["--noEmit", "-p", "."]);
await run("lint", "eslint", ["."]);
await run("format", "prettier", ["--check", "--log-level", "warn", "."]);
await run("dependency direction", "depcruise", [
  "packages",
  "tests",
  "--config",
  ".dependency-cruiser.cjs",
  "--output-type",
  "err",
]);
await run("dead code", "knip", []);
await vitest("unit");
// Integration logs in to an sshd of its own, and a test installs nothing.
await needTools((text) => {
  console.log(text);
});
await vitest("integration");
await vitest("e2e");
rmSync(folder, { recursive: true });

const passed = phases.reduce((sum, phase) => sum + phase.passed, 0);
const failed = phases.reduce((sum, phase) => sum + phase.failed, 0);
console.log(
  `\n${phases.map((phase) => `${phase.name.padEnd(22)} ${phase.seconds.toFixed(1).padStart(7)} s  ${phase.failed > 0 ? "FAILED" : "ok"}`).join("\n")}`,
);
if (performance.now() - begun > deadlineMs) {
  const slowest = phases.toSorted((a, b) => b.seconds - a.seconds).slice(0, 3);
  console.log(
    `over its deadline of ${String(deadlineMs / 60_000)} minutes; slowest: ${slowest.map(({ name }) => name).join(", ")}`,
  );
}
console.log(`${String(passed)} passed, ${String(failed)} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
