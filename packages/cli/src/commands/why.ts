import type { Command } from "commander";
import { StackctlError } from "@stackctl/protocol";
import { renderWhy } from "../output/event.ts";
import { print, shared, withServer } from "./command.ts";

/** `why RESOURCE@HOST`, or the two words in any order: what changed a thing, and what for, newest first. */
export function addWhy(program: Command): void {
  program
    .command("why")
    .description("what changed a thing, and what for, newest first")
    .argument("<resource@host>", "such as chrony/chrony@compute1")
    .argument("[host]", "in place of @host")
    .action(async (first: string, second: string | undefined, _options: unknown, command: Command) => {
      const { place, json } = shared(command);
      // As `repair` and `render` have it, the host comes first; a resource's id is told by its slash.
      const word =
        second === undefined ? first : second.includes("/") ? `${second}@${first}` : `${first}@${second}`;
      const at = word.lastIndexOf("@");
      if (at < 1 || at === word.length - 1) {
        throw new StackctlError("usage", `${word} names no resource of a host`, {
          details: { remedy: "stackctl why chrony/chrony@compute1" },
        });
      }
      const { events } = await withServer(place, (session) =>
        session.call("why", { resource: word.slice(0, at), host: word.slice(at + 1) }, "asking the server"),
      );
      print(json, events, (shown) => renderWhy(word, shown, Date.now()));
    });
}
