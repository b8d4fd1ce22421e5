import type { Command } from "commander";
import { StackctlError } from "@stackctl/protocol";
import { followRun } from "../follow-run.ts";
import { renderRuns } from "../output/runs.ts";
import { limitOf, print, shared, withServer } from "./command.ts";

/** `runs [list]`: the last runs; `runs attach [ID]`: follows a run that is under way, or shows how one ended. */
export function addRuns(program: Command): void {
  const runs = program.command("runs").description("about runs; alone it lists them");
  runs
    .command("list", { isDefault: true })
    .description("the last runs, newest first")
    .option("--limit <n>", "how many of them, 1 to 500", limitOf, 20)
    .action(async (options: { limit: number }, command: Command) => {
      const { place, json } = shared(command);
      const answer = await withServer(place, (session) =>
        session.call("runs", { limit: options.limit }, "asking the server"),
      );
      print(json, answer.runs, (shown) => renderRuns(shown, Date.now()));
    });
  runs
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
            details: { remedy: id === undefined ? "stackctl apply aio" : "stackctl runs" },
          });
        }
        return followRun(session, runId, { json, joined: false });
      });
    });
}
