import type { Command } from "commander";
import { configView } from "@stackctl/protocol";
import { renderConfig } from "../output/config.ts";
import { askBundle } from "../server-bundle.ts";
import { print, shared } from "./command.ts";

/** `config show`: the cloud as it is understood. Needs no server: the file alone says it. */
export function addConfig(program: Command): void {
  program
    .command("config")
    .description("the cloud's file")
    .command("show")
    .description("the cloud as it is understood: every value, and the line that it is from")
    .action(async (_options: unknown, command: Command) => {
      const { place, json } = shared(command);
      const view = configView.parse(await askBundle(["config", "--cloud", place.cloudFile]));
      print(json, view, renderConfig);
    });
}
