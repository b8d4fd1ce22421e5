import { userInfo } from "node:os";
import type { Command } from "commander";
import { StackctlError } from "@stackctl/protocol";
import { followRun } from "../follow-run.ts";
import { ownSshAgent, remark, scopeOf, shared, withServer } from "./command.ts";

/** `apply aio|controller|compute|HOST...`: makes the cloud what the file says. */
export function addApply(program: Command): void {
  program
    .command("apply")
    .description("make the cloud what the file says")
    .argument("[scope...]", "aio, controller, compute, or hosts")
    .option("--plan <hash>", "only if the plan is still this one")
    .action(async (words: string[], options: { plan?: string }, command: Command) => {
      const { place, json } = shared(command);
      if (words.length === 0 && options.plan === undefined) {
        throw new StackctlError("usage", "apply what? aio, controller, compute, or hosts", {
          details: { remedy: "stackctl apply aio" },
        });
      }
      process.exitCode = await withServer(place, async (session) => {
        // Asked for, and perhaps begun, before its number is known here.
        const interrupted = (): void => {
          remark("\nthe run may have begun; look with: stackctl runs attach");
          process.exit(130);
        };
        process.once("SIGINT", interrupted);
        const { runId, joined } = await session.call(
          "apply",
          { scope: scopeOf(words), plan: options.plan ?? null, by: userInfo().username, ...ownSshAgent() },
          options.plan === undefined ? "starting the run" : "asking the hosts whether the plan still holds",
          60_000,
        );
        process.off("SIGINT", interrupted);
        return followRun(session, runId, { json, joined });
      });
    });
}
