import type { Command } from "commander";
import { renderDrift } from "../output/drift.ts";
import { print, shared, withServer } from "./command.ts";

/** `drift`: what differs from what it should be, now; exit 0 none, 3 some. */
export function addDrift(program: Command): void {
  program
    .command("drift")
    .description("what differs from what it should be, now")
    .action(async (_options: unknown, command: Command) => {
      const { place, json } = shared(command);
      const { drift } = await withServer(place, (session) => session.call("drift", {}, "asking the server"));
      print(json, drift, (shown) => renderDrift(shown, Date.now()));
      process.exitCode = drift.length > 0 ? 3 : 0;
    });
}
