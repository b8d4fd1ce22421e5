import { Command } from "commander";
import { version } from "@stackctl/protocol";
import { addAgent } from "./commands/agent.ts";
import { addApply } from "./commands/apply.ts";
import { addCompletion } from "./commands/completion.ts";
import { addConfig } from "./commands/config.ts";
import { addCredentials } from "./commands/credentials.ts";
import { addDrift } from "./commands/drift.ts";
import { addEvents } from "./commands/events.ts";
import { addHold } from "./commands/hold.ts";
import { addHost } from "./commands/host.ts";
import { addImage } from "./commands/image.ts";
import { addInit } from "./commands/init.ts";
import { addLogs } from "./commands/logs.ts";
import { addPlan } from "./commands/plan.ts";
import { addPreflight } from "./commands/preflight.ts";
import { addRender } from "./commands/render.ts";
import { addRegistry } from "./commands/registry.ts";
import { addRepair } from "./commands/repair.ts";
import { addRuns } from "./commands/runs.ts";
import { addSecret } from "./commands/secret.ts";
import { addServer } from "./commands/server.ts";
import { addStatus } from "./commands/status.ts";
import { addWhy } from "./commands/why.ts";

/** The whole command line, without running it. */
export function makeProgram(): Command {
  const program = new Command("stackctl")
    .description("A highly available OpenStack on your own servers")
    .version(version)
    .option("--cloud <file>", "the cloud's file (default: ./cloud.yaml)")
    .option("--json", "print the result as JSON")
    .showHelpAfterError("(stackctl --help shows all commands)");
  for (const add of [
    addInit,
    addPreflight,
    addConfig,
    addRender,
    addPlan,
    addApply,
    addStatus,
    addDrift,
    addEvents,
    addWhy,
    addLogs,
    addRepair,
    addRuns,
    addHold,
    addHost,
    addImage,
    addRegistry,
    addSecret,
    addCredentials,
    addServer,
    addAgent,
    addCompletion,
  ]) {
    add(program);
  }
  everyCommand(program, (command) => {
    if (command !== program) {
      command.option("--json", "print the result as JSON");
      command.option("--cloud <file>", "the cloud's file");
    }
    // Wrong words are a usage error of ours: exit 2, not commander's 1.
    command.exitOverride();
  });
  return program;
}

/** Visits a command and all below it. */
export function everyCommand(command: Command, visit: (command: Command) => void): void {
  visit(command);
  for (const child of command.commands) everyCommand(child, visit);
}
