import type { Command } from "commander";
import { clock, table } from "../output/text.ts";
import { print, shared, withServer } from "./command.ts";

/** `drift`: what differs from what it should be, now; exit 0 none, 3 some. */
export function addDrift(program: Command): void {
  program
    .command("drift")
    .description("what differs from what it should be, now")
    .action(async (_options: unknown, command: Command) => {
      const { place, json } = shared(command);
      const { drift } = await withServer(place, (session) => session.call("drift", {}));
      print(json, drift, () =>
        drift.length === 0
          ? "No drift."
          : table(
              drift.map(({ host, resource, since, text, repair }) => [
                host,
                resource,
                `since ${clock(since)}`,
                `${text}; ${repair}`,
              ]),
            ).join("\n"),
      );
      process.exitCode = drift.length > 0 ? 3 : 0;
    });
}
