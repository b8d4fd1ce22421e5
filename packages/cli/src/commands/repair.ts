import { userInfo } from "node:os";
import type { Command } from "commander";
import { renderRepair } from "../output/repair.ts";
import { print, shared, withServer } from "./command.ts";

/** `repair HOST RESOURCE`: makes one resource true now; exit 1 when it is not true afterwards. */
export function addRepair(program: Command): void {
  program
    .command("repair")
    .description("make one thing on a host right now, also one that is left alone after too many repairs")
    .argument("<host>")
    .argument("<resource>", "such as chrony/chrony; stackctl drift shows them")
    .action(async (host: string, resource: string, _options: unknown, command: Command) => {
      const { place, json } = shared(command);
      const answer = await withServer(place, (session) =>
        session.call("repair", { host, resource, by: userInfo().username }, `repairing ${resource}`, 120_000),
      );
      print(json, answer, (shown) => renderRepair(host, resource, shown));
      process.exitCode = answer.outcome === "changed" || answer.outcome === "unchanged" ? 0 : 1;
    });
}
