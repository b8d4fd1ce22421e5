import type { Command } from "commander";
import { renderPlan } from "../output/plan.ts";
import { print, scopeOf, shared, withServer } from "./command.ts";

/** `plan [SCOPE]`: what an apply would change; exit 0 nothing, 3 something. */
export function addPlan(program: Command): void {
  program
    .command("plan")
    .description("what an apply would change, without changing anything")
    .argument("[scope...]", "aio, controller, compute, or hosts")
    .action(async (words: string[], _options: unknown, command: Command) => {
      const { place, json } = shared(command);
      const plan = await withServer(place, (session) =>
        session.call("plan", { scope: scopeOf(words) }, "asking the hosts"),
      );
      print(json, plan, (shown) => renderPlan(shown, words));
      process.exitCode = plan.totals.changes > 0 ? 3 : 0;
    });
}
