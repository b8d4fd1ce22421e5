import type { Command } from "commander";
import { renderRender } from "../output/render.ts";
import { print, shared, withServer } from "./command.ts";

/** `render HOST [SERVICE]`: what the host's documents would be. Asks no host and changes nothing. */
export function addRender(program: Command): void {
  program
    .command("render")
    .description("what a host would be told: every value, and the line that it follows from")
    .argument("<host>")
    .argument("[service]", "all of them unless given")
    .action(async (host: string, service: string | undefined, _options: unknown, command: Command) => {
      const { place, json } = shared(command);
      const view = await withServer(place, (session) =>
        session.call("render", { host, service: service ?? null }, "asking the server"),
      );
      print(json, view, renderRender);
    });
}
