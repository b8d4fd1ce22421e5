import { userInfo } from "node:os";
import type { Command } from "commander";
import { followRun } from "../follow-run.ts";
import { print, shared, withServer } from "./command.ts";

/** `registry move HOST`: makes another controller's registry the one that is pushed to. */
export function addRegistry(program: Command): void {
  program
    .command("registry")
    .description("about the registry of images")
    .command("move")
    .description(
      "build images on another controller from now on, and ask its registry first; restarts nothing",
    )
    .argument("<host>", "a controller")
    .action(async (host: string, _options: unknown, command: Command) => {
      const { place, json } = shared(command);
      process.exitCode = await withServer(place, async (session) => {
        const request = { host, by: userInfo().username };
        const answer = await session.call(
          "registry-move",
          request,
          `completing the registry on ${host}`,
          130_000,
        );
        if (answer.run !== null)
          return followRun(session, answer.run.runId, { json, joined: answer.run.joined });
        print(json, answer, ({ from }) => `The registry is on ${from} already; nothing was changed.`);
        return 0;
      });
    });
}
