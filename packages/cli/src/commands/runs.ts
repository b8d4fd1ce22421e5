import type { Command } from "commander";
import { StackctlError } from "@stackctl/protocol";
import { followRun } from "../follow-run.ts";
import { shared, withServer } from "./command.ts";

/** `runs attach [ID]`: follows a run that is under way, or shows how one ended. */
export function addRuns(program: Command): void {
  program
    .command("runs")
    .description("about runs")
    .command("attach")
    .description("follow a run that is under way, or see how one ended")
    .argument("[id]", "the last one unless given")
    .action(async (id: string | undefined, _options: unknown, command: Command) => {
      const { place, json } = shared(command);
      process.exitCode = await withServer(place, async (session) => {
        const runId =
          id === undefined ? (await session.call("status", {}, "asking the server")).run?.id : Number(id);
        if (runId === undefined || !Number.isInteger(runId) || runId < 1) {
          throw new StackctlError("usage", id === undefined ? "there was no run yet" : `${id} is no run`, {
            details: { remedy: "stackctl apply aio" },
          });
        }
        return followRun(session, runId, { json, joined: false });
      });
    });
}
