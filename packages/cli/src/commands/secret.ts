import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { text as readAll } from "node:stream/consumers";
import type { Command } from "commander";
import { secretName, StackctlError } from "@stackctl/protocol";
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
      if (!secretName.safeParse(name).success)
        throw new StackctlError("usage", `${name} is no name of a secret`, {
          details: { expected: "small letters, digits and -", remedy: "such as packages-proxy-password" },
        });
      const value = process.stdin.isTTY
        ? await ask(`${name}: `)
        : (await readAll(process.stdin)).replace(/\r?\n$/, "");
      if (value === "")
        throw new StackctlError("usage", `${name} was given no value`, {
          details: { remedy: `printf %s VALUE | stackctl secret set ${name}` },
        });
      const result = await withServer(place, (session) =>
        session.call("secret-set", { name, value }, "asking the server"),
      );
      print(json, result, () => `${name} is in the vault, version ${String(result.version)}.`);
    });
}

/** Asks on the terminal without showing what is typed; Ctrl-C and Ctrl-D end the command. */
function ask(prompt: string): Promise<string> {
  process.stderr.write(prompt);
  const silent = new Writable({
    write: (_chunk, _encoding, done) => {
      done();
    },
  });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true });
  return new Promise((resolve) => {
    lines.once("line", resolve);
    lines.once("SIGINT", () => {
      process.stderr.write("\n");
      process.exit(130);
    });
    // Ctrl-D, or a terminal that went away: nothing was given. After a line this resolves nothing any more.
    lines.once("close", () => {
      process.stderr.write("\n");
      resolve("");
    });
    lines.once("line", () => {
      lines.close();
    });
  });
}
