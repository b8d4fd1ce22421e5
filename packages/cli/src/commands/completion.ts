import { Argument, type Command } from "commander";
import { completionOf } from "../completion/complete.ts";
import { cloudNames } from "../completion/names.ts";
import { completionScripts, type Shell } from "../completion/scripts.ts";

/** `completion SHELL`: what a shell loads; `complete`, which nobody types: what that asks at each tab. */
export function addCompletion(program: Command): void {
  program
    .command("completion")
    .description("what your shell loads to complete commands, hosts, services and resources")
    .addArgument(new Argument("<shell>").choices(Object.keys(completionScripts)))
    .action((shell: Shell) => {
      process.stdout.write(completionScripts[shell]);
    });
  program
    .command("complete", { hidden: true })
    .argument("[words...]")
    .action(async (words: string[]) => {
      const { candidates, files } = await completionOf(program, words, cloudNames);
      const lines = files ? [":files"] : candidates.map(({ word, description }) => `${word}\t${description}`);
      process.stdout.write(lines.map((line) => `${line}\n`).join(""));
    });
}
