import { spawnSync } from "node:child_process";

/**
 * The project's scripts, each a list of commands that run one after the other and stop at the first that fails.
 * Started by `scripts/setup.sh` under the pinned Node.
 */
const node = process.execPath;
const check: readonly (readonly string[])[] = [
  ["tsc", "--noEmit", "-p", "."],
  ["eslint", "--cache", "--cache-location", "node_modules/.cache/eslint", "."],
  ["prettier", "--check", "--cache", "--log-level", "warn", "."],
  ["depcruise", "packages", "tests", "--config", ".dependency-cruiser.cjs", "--output-type", "err"],
  ["knip"],
  ["vitest", "run", "--project", "unit"],
];
const build: readonly (readonly string[])[] = [["tsup", "--silent"]];
const scripts: Readonly<Record<string, readonly (readonly string[])[]>> = {
  build,
  check,
  dev: [["tsc", "--noEmit", "-p", ".", "--watch"]],
  demo: [...build, [node, "tests/demo.ts"]],
  test: [...build, [node, "tests/run.ts"]],
  "test:full": [...build, [node, "tests/run.ts", "--full"]],
  bench: [...build, [node, "tests/bench.ts"]],
  fix: [
    [node, "tests/docs/write.ts"],
    ["eslint", "--fix", "."],
    ["prettier", "--write", "--log-level", "warn", "."],
  ],
};

const [name = "", ...rest] = process.argv.slice(2);
const commands = scripts[name];
if (commands === undefined) {
  console.error(`unknown script ${name}; there are: ${Object.keys(scripts).join(", ")}`);
  process.exit(2);
}
for (const [index, [command = "", ...args]] of commands.entries()) {
  const last = index === commands.length - 1;
  const { status } = spawnSync(command, last ? [...args, ...rest] : args, { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
