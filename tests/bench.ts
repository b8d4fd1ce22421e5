import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildWithWork } from "./bench/build.ts";
import { wholeCloud } from "./bench/cloud.ts";
import { figuresTable, isReached, type Figure } from "./bench/figures.ts";
import { warmPingMs } from "./bench/ping.ts";
import { machine, sideBySide } from "./bench/side-by-side.ts";
import { down } from "./lab/down.ts";
import { labNames, readLab } from "./lab/lab.ts";
import { up } from "./lab/up.ts";
import { initStack, stackIn, succeed } from "./stack.ts";

/**
 * `npm run bench`: the figures that we hold ourselves to, beside what Ansible takes for the same work on the same hosts in the
 * same minutes. Makes a lab of its own and takes it down again; ends 1 when a figure is missed.
 * `-- --keep` leaves the lab, `--lab NAME` takes one that is there, `--only ping|peers|cloud` measures a part, `--rounds N`
 * repeats the runs without change that often.
 */
const { values } = parseArgs({
  options: {
    lab: { type: "string" },
    keep: { type: "boolean", default: false },
    only: { type: "string" },
    rounds: { type: "string", default: "5" },
  },
});
const parts = ["ping", "peers", "cloud"] as const;
if (values.only !== undefined && !parts.some((part) => part === values.only)) {
  console.error(`--only is one of ${parts.join(", ")}`);
  process.exit(2);
}
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1) {
  console.error("--rounds is a whole number");
  process.exit(2);
}
const wants = (part: (typeof parts)[number]): boolean => values.only === undefined || values.only === part;

const ownName = "bench";
const own = {
  name: ownName,
  ...{ controllers: 3, computes: 2, memoryMiB: 3072 },
  ...{ management: "10.47.0.0/24", public: "192.168.47.0/24", data: "10.47.1.0/24" },
  nics: ["eth0", "eth1", "eth2"],
  ...{ user: "root", sshPort: 22, proxy: true },
} as const;
/** Beside any other server of this machine. */
const serverPort = 4247;

const begun = performance.now();
function say(text: string): void {
  console.error(`${((performance.now() - begun) / 1000).toFixed(1).padStart(7)} s  ${text}`);
}

const figures: Figure[] = [];
const built = mkdtempSync(join(tmpdir(), "stackctl-bench-"));
const isOurs = values.lab === undefined;
try {
  console.log(`${new Date().toISOString().slice(0, 10)}, ${await machine()}`);
  if (wants("ping")) {
    say("warm ping");
    // Of what Salt took for it when it was measured, 1.35 s; it is not run here.
    figures.push({
      name: "warm ping of 20 agents (1/60 of Salt's 1.35 s)",
      value: await warmPingMs(),
      unit: "ms",
      reach: { atMost: 22.5 },
    });
  }
  if (wants("peers") || wants("cloud")) {
    const lab = isOurs ? await up({ ...own, fresh: !values.keep }, say) : readLab(values.lab ?? "");
    // With the lab, for its agents know this server; gone with it.
    const folder = join(lab.directory, "bench");
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const home = join(folder, "home");
    const ordinary = stackIn(folder, home);
    const withWork = stackIn(folder, home, await buildWithWork(built));
    try {
      await initStack(withWork, lab, ["--server-port", String(serverPort)]);
      if (wants("peers"))
        figures.push(...(await sideBySide(lab, withWork, join(built, "ansible"), rounds, say)));
      if (wants("cloud")) figures.push(...(await wholeCloud(lab, ordinary, say)));
    } finally {
      if (existsSync(join(home, "server.json"))) await succeed(ordinary.run(["server", "stop"]));
    }
  }
} finally {
  rmSync(built, { recursive: true, force: true });
  if (isOurs && !values.keep && labNames().includes(ownName)) await down(ownName, say);
}
console.log(`\n${figuresTable(figures)}`);
process.exit(figures.every(isReached) ? 0 : 1);
