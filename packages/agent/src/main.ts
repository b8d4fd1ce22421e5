import { text as readAll } from "node:stream/consumers";
import {
  errorData,
  factsAnswer,
  hostPaths,
  factsOrder,
  version,
  type FactsAnswer,
  type FactsOrder,
} from "@stackctl/protocol";
import { Agent } from "./agent.ts";
import { openAgentBus } from "./bus/nats.ts";
import { AgentState } from "./engine/state.ts";
import { readOrNull } from "./host/files.ts";
import { linuxHost } from "./host/linux.ts";
import { query } from "./host/query.ts";
import { linuxReleases } from "./host/releases.ts";
import { enrol, readIdentity } from "./identity.ts";
import { behaviours } from "./resources/index.ts";

const folder = hostPaths.state;

/** One line of JSON into the journal: a constant message and fields. */
function log(fields: Record<string, unknown>, message: string): void {
  const { err, ...rest } = fields;
  console.log(
    JSON.stringify({
      ...rest,
      ...(err === undefined ? {} : { err: err instanceof Error ? err.stack : err }),
      msg: message,
    }),
  );
}

/**
 * `init`: an order on standard input, the answer on standard output. `run`: the agent itself. `facts`: what the
 * host is, as JSON, and whether packages are reached in the way that its standard input tells. `version`.
 */
async function main(): Promise<void> {
  const [command = ""] = process.argv.slice(2);
  switch (command) {
    case "init": {
      const bootId = (readOrNull("/proc/sys/kernel/random/boot_id") ?? "").trim();
      process.stdout.write(JSON.stringify(enrol(folder, await readAll(process.stdin), bootId)));
      return;
    }
    case "run":
      return run();
    case "facts": {
      const { factsAnswerOf } = await import("./facts/facts.ts");
      const order = factsOrder.parse(JSON.parse(await readAll(process.stdin)));
      process.stdout.write(JSON.stringify(await factsAnswerOf(order)));
      return;
    }
    case "version":
      console.log(version);
      return;
    default:
      console.error(`unknown command ${command}; there are init, run, facts and version`);
      process.exitCode = 2;
  }
}

async function run(): Promise<void> {
  const identity = readIdentity(folder);
  const state = new AgentState(folder);
  const bus = openAgentBus({
    host: identity.host,
    servers: identity.servers,
    ca: identity.ca,
    seed: identity.seed,
    log,
  });
  const releases = linuxReleases(log);
  const agent = new Agent({
    identity,
    state,
    bus,
    host: linuxHost(),
    releases,
    behaviours,
    facts: askFacts,
    log,
  });
  process.on("SIGTERM", () => {
    agent.stop();
    // What is queued is on disk: nothing has to be waited for.
    void bus.close().then(() => process.exit(0));
  });
  log({ version, host: identity.host, incarnation: identity.incarnation }, "agent started");
  releases.tidy();
  await agent.run();
}

/** Lets a child read the facts: what that needs is gone with it. How packages are reached goes over its standard input. */
async function askFacts(order: FactsOrder): Promise<FactsAnswer> {
  const self = process.argv[1] ?? "";
  // The child needs the library that was pushed beside Node, as this process does.
  const argv = [`LD_LIBRARY_PATH=${hostPaths.current}`, process.execPath, self, "facts"];
  const { code, stdout, stderr } = await query("env", argv, 26_000, JSON.stringify(order));
  if (code !== 0) throw new Error(`facts ended with ${String(code)}: ${stderr.slice(-300)}`);
  return factsAnswer.parse(JSON.parse(stdout));
}

main().catch((error: unknown) => {
  const { message, details } = errorData(error);
  console.error(`${message}${details.remedy === undefined ? "" : `; ${details.remedy}`}`);
  // Open connections would keep a dead agent alive; systemd starts a new one.
  process.exit(1);
});
