import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { text as readAll } from "node:stream/consumers";
import type { Command } from "commander";
import { StackctlError } from "@stackctl/protocol";
import { print, shared, withServer } from "./command.ts";

/** `secret set NAME`: puts a secret into the vault; never from the command line itself, where others could read it. */
export function addSecret(program: Command): void {
  program
    .command("secret")
    .description("the vault's secrets")
    .command("set")
    .description("put a secret into the vault; its value comes on standard input")
    .argument("<name>", "such as packages-proxy-password")
    .action(async (name: string, _options: unknown, command: Command) => {
      const { place, json } = shared(command);
      const value = process.stdin.isTTY
        ? await ask(`${name}: `)
        : (await readAll(process.stdin)).replace(/\r?\n$/, "");
      if (value === "")
        throw new StackctlError("usage", `${name} was given no value`, {
          details: { remedy: `printf %s VALUE | stackctl secret set ${name}` },
        });
      const result = await withServer(place, (session) => session.call("secret-set", { name, value }));
      print(json, result, () => `${name} is in the vault, version ${String(result.version)}.`);
    });
}

/** Asks on the terminal without showing what is typed. */
function ask(prompt: string): Promise<string> {
  process.stderr.write(prompt);
  const silent = new Writable({
    write: (_chunk, _encoding, done) => {
      done();
    },
  });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true });
  return new Promise((resolve) => {
    lines.once("line", (line) => {
      process.stderr.write("\n");
      lines.close();
      resolve(line);
    });
  });
}
