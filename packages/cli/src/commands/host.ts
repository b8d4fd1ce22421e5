import { createInterface } from "node:readline/promises";
import { userInfo } from "node:os";
import type { Command } from "commander";
import { StackctlError } from "@stackctl/protocol";
import { followRun } from "../follow-run.ts";
import { renderRemoval } from "../output/removal.ts";
import { harmless } from "../output/text.ts";
import type { Session } from "../session.ts";
import { print, shared, withServer } from "./command.ts";

/** `host forget-key HOST` and `host remove HOST`. */
export function addHost(program: Command): void {
  const host = program.command("host").description("about one host");
  addForgetKey(host);
  addRemove(host);
}

/** `host forget-key HOST`: takes the host's SSH key back that was pinned, after it was reinstalled. */
function addForgetKey(parent: Command): void {
  parent
    .command("forget-key")
    .description("forget the pinned SSH key of a host, or of the jump host, after it was reinstalled")
    .argument("<host>")
    .action(async (host: string, _options: unknown, command: Command) => {
      const { place, json } = shared(command);
      const result = await withServer(place, (session) =>
        session.call("host-forget-key", { host }, "asking the server"),
      );
      print(json, result, () =>
        result.forgotten === null
          ? `No key of ${host} was pinned.`
          : `${result.forgotten} is forgotten; the next key that ${host} shows is pinned.`,
      );
    });
}

/** `host remove HOST`: takes away what the cloud made on a host that left the file, then its agent, then forgets it. */
function addRemove(parent: Command): void {
  parent
    .command("remove")
    .description("take everything of the cloud off a host that left cloud.yaml, and forget it")
    .argument("<host>")
    .option("--yes <host>", "its name once more, instead of being asked")
    .action(async (host: string, options: { yes?: string }, command: Command) => {
      const { place, json } = shared(command);
      const remedy = `stackctl host remove ${host} --yes ${host}`;
      if (options.yes !== undefined && options.yes !== host) {
        throw new StackctlError("usage", `--yes names ${options.yes}, not ${host}; nothing was done`, {
          details: { remedy },
        });
      }
      if (options.yes === undefined && !process.stdin.isTTY) {
        throw new StackctlError("usage", "nobody is there to be asked; nothing was done", {
          details: { remedy },
        });
      }
      process.exitCode = await withServer(place, async (session) => {
        if (options.yes === undefined) await confirm(session, host);
        const { runId, joined } = await session.call(
          "host-remove",
          { host, by: userInfo().username },
          "starting the removal",
        );
        return followRun(session, runId, { json, joined });
      });
    });
}

/** Says what will be lost and wants the name typed. @throws StackctlError `usage` when it is not */
async function confirm(session: Session, host: string): Promise<void> {
  const removal = await session.call("host-removal", { host }, `asking ${host}`, 20_000);
  process.stderr.write(`${renderRemoval(harmless(removal), Date.now())}\n`);
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  // Ctrl-C and Ctrl-D are a no, like any other word.
  const gone = new Promise<string>((resolve) =>
    lines.once("close", () => {
      resolve("");
    }),
  );
  const typed = await Promise.race([lines.question(`Type ${host} to remove it: `), gone]);
  lines.close();
  if (typed.trim() !== host) throw new StackctlError("usage", `${host} was not typed; nothing was done`);
}
