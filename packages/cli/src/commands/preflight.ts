import type { Command } from "commander";
import { renderPreflight } from "../output/preflight.ts";
import { ownSshAgent, print, scopeOf, shared, withServer } from "./command.ts";

/** `preflight [SCOPE]`: looks at every host before anything is done to it; exit 1 when a problem stands in the way. */
export function addPreflight(program: Command): void {
  program
    .command("preflight")
    .description("look at every host before anything is done to it")
    .argument("[scope...]", "aio, controller, compute, or hosts")
    .action(async (words: string[], _options: unknown, command: Command) => {
      const { place, json } = shared(command);
      const { rows } = await withServer(place, (session) =>
        session.call(
          "preflight",
          { scope: scopeOf(words), ...ownSshAgent() },
          "looking at the hosts",
          60_000,
        ),
      );
      print(json, rows, renderPreflight);
      process.exitCode = rows.some(({ problems }) => problems.some(({ severity }) => severity === "error"))
        ? 1
        : 0;
    });
}
