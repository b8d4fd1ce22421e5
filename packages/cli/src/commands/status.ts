import { setTimeout as pause } from "node:timers/promises";
import type { Command } from "commander";
import { createLogUpdate } from "log-update";
import { renderStatus } from "../output/status.ts";
import { whileWaiting } from "../output/waiting.ts";
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
        const draw = createLogUpdate(process.stdout);
        for (;;) {
          const status = await whileWaiting("asking the server", session.call("status", {}));
          process.exitCode = status.outcome === "green" ? 0 : 1;
          if (options.watch !== true) {
            print(json, status, () => renderStatus(status, Date.now()));
            return;
          }
          if (json) print(true, status, () => "");
          else draw(renderStatus(status, Date.now()));
          await pause(1000);
        }
      });
    });
}
