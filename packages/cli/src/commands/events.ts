import type { Command } from "commander";
import { maxWaitMs, type EventView } from "@stackctl/protocol";
import { renderEvent } from "../output/event.ts";
import { harmless } from "../output/text.ts";
import { limitOf, shared, withServer } from "./command.ts";

/** `events [-f]`: what happened, oldest first. */
export function addEvents(program: Command): void {
  program
    .command("events")
    .description("what happened, oldest first")
    .option("-f, --follow", "wait for more")
    .option("--limit <n>", "how many of the last ones, 1 to 500", limitOf, 50)
    .action(async (options: { follow?: boolean; limit: number }, command: Command) => {
      const { place, json } = shared(command);
      const show = (event: EventView): void => {
        process.stdout.write(`${json ? JSON.stringify(event) : renderEvent(harmless(event), Date.now())}\n`);
      };
      await withServer(place, async (session) => {
        let { events, next } = await session.call(
          "events",
          { after: null, limit: options.limit, waitMs: 0 },
          "asking the server",
        );
        events.forEach(show);
        while (options.follow === true) {
          ({ events, next } = await session.call(
            "events",
            { after: next, limit: 500, waitMs: maxWaitMs },
            null,
            maxWaitMs + 5000,
          ));
          events.forEach(show);
        }
      });
    });
}
