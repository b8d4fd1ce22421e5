import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { readLab } from "./lab/lab.ts";
import { initStack, root, stackIn } from "./stack.ts";

/**
 * `npm run demo`: a lab of five bare hosts, a cloud file for it, `apply aio`, `status`, and what to try next.
 * Reuses what is there; `-- --fresh` begins with nothing.
 */
const fresh = process.argv.includes("--fresh");
const name = "demo";
const stack = stackIn(root);
const phases: [string, number][] = [];

/** Runs a phase with its output on the screen and stops everything when it fails. */
function phase(title: string, command: string, args: readonly string[]): void {
  console.log(`\n== ${title}`);
  const begun = performance.now();
  const { status } = spawnSync(command, args, { stdio: "inherit", cwd: root });
  phases.push([title, (performance.now() - begun) / 1000]);
  if (status === 0) return;
  console.error(
    `\n${title} failed (exit ${String(status)}). What it said is above; try again with: npm run demo`,
  );
  process.exit(1);
}

const stackctl = join(root, "stackctl");
if (
  existsSync(stack.cloudFile) &&
  !new RegExp(`^cloud: ${name}$`, "m").test(readFileSync(stack.cloudFile, "utf8"))
) {
  console.error(`${stack.cloudFile} is not the demo's. Move it away, or go on with it: ./stackctl plan`);
  process.exit(1);
}
if (fresh) {
  if (existsSync(join(stack.home, "server.json"))) phase("stop the server", stackctl, ["server", "stop"]);
  rmSync(stack.home, { recursive: true, force: true });
  rmSync(stack.cloudFile, { force: true });
}
phase("lab", process.execPath, [
  join(root, "tests/lab/main.ts"),
  "up",
  "--name",
  name,
  ...(fresh ? ["--fresh"] : []),
]);
const begun = performance.now();
await initStack(stack, readLab(name));
phases.push(["init", (performance.now() - begun) / 1000]);
phase("apply", stackctl, ["apply", "aio"]);
phase("status", stackctl, ["status"]);

console.log(`
${phases.map(([title, seconds]) => `${title} ${seconds.toFixed(1)} s`).join(", ")}

What to try next:
  ./stackctl apply aio                      nothing changes
  ./stackctl lab ssh compute1               edit /etc/hosts there, then: ./stackctl events
  ./stackctl why hosts-file/hosts@compute1
  edit time.servers in cloud.yaml, then:    ./stackctl plan
  ./stackctl lab power-off compute2         then: ./stackctl status
  ./stackctl lab down && ./stackctl server stop`);
