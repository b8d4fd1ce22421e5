import { spawn } from "node:child_process";
import { text as readAll } from "node:stream/consumers";
import { errorFromData, type ErrorData } from "@stackctl/protocol";
import { needBundle, serverBundle } from "./server-process.ts";

/**
 * Asks the server's code for something that needs no server, such as what a file says.
 * @param options `input`: what it reads, as JSON; `timeoutMs`: it is killed after that. @default no end
 * @throws StackctlError what it says; Error when it says nothing in time
 */
export async function askBundle(
  args: readonly string[],
  options: { readonly input?: unknown; readonly timeoutMs?: number } = {},
): Promise<unknown> {
  needBundle(serverBundle);
  const child = spawn(process.execPath, [serverBundle, ...args], {
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "inherit"],
    timeout: options.timeoutMs,
    killSignal: "SIGKILL",
  });
  child.stdin?.end(JSON.stringify(options.input));
  if (child.stdout === null) throw new Error("the server's code was started without its pipe");
  const text = await readAll(child.stdout);
  if (text === "") throw new Error(`the server's code said nothing to ${args[0] ?? ""}`);
  const result: unknown = JSON.parse(text);
  if (typeof result === "object" && result !== null && "error" in result)
    throw errorFromData(result.error as ErrorData);
  return result;
}
