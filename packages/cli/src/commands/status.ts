import { setTimeout as pause } from "node:timers/promises";
import type { Command } from "commander";
import { createLogUpdate } from "log-update";
import { renderStatus } from "../output/status.ts";
import { canRedraw, harmless } from "../output/text.ts";
import { print, shared, withServer } from "./command.ts";

/** `status [-w]`: the truth about the cloud at a glance; exit 0 only when it is green. */
export function addStatus(program: Command): void {
  program
    .command("status")
    .description("the truth about the cloud, at a glance")
    .option("-w, --watch", "keep looking")
    .action(async (options: { watch?: boolean }, command: Command) => {
      const { place, json } = shared(command);
      await withServer(place, async (session) => {
        const draw = options.watch === true && !json && canRedraw() ? createLogUpdate(process.stdout) : null;
        for (;;) {
          const status = await session.call("status", {}, "asking the server");
          process.exitCode = status.outcome === "green" ? 0 : 1;
          if (options.watch !== true) {
            print(json, status, (shown) => renderStatus(shown, Date.now()));
            return;
          }
          if (json) process.stdout.write(`${JSON.stringify(status)}\n`);
          else if (draw === null) process.stdout.write(`${renderStatus(harmless(status), Date.now())}\n\n`);
          else draw(renderStatus(harmless(status), Date.now()));
          await pause(1000);
        }
      });
    });
}
