import { resolve } from "node:path";
import { userInfo } from "node:os";
import type { Command } from "commander";
import { followUpgrade } from "../follow-upgrade.ts";
import { table } from "../output/text.ts";
import { print, shared, withServer } from "./command.ts";

/** `agent list` and `agent upgrade [HOST...]`. */
export function addAgent(program: Command): void {
  const agent = program.command("agent").description("the hosts' agents");
  agent
    .command("list")
    .description("each host's agent, its version and release, and what it does")
    .action(async (_options: unknown, command: Command) => {
      const { place, json } = shared(command);
      const { hosts } = await withServer(place, (session) => session.call("status", {}, "asking the server"));
      const agents = hosts.map(({ name, state, agentVersion, agentRelease, doing }) => ({
        name,
        state,
        agentVersion,
        agentRelease,
        doing,
      }));
      print(json, agents, (shown) =>
        table([
          ["host", "state", "version", "release", ""],
          ...shown.map(({ name, state, agentVersion, agentRelease, doing }) => [
            name,
            state,
            agentVersion ?? "-",
            agentRelease ?? "-",
            doing ?? "",
          ]),
        ]).join("\n"),
      );
    });
  agent
    .command("upgrade")
    .description(
      "bring agents to a release: one host first, the others when that is well, all back when one is not",
    )
    .argument("[host...]", "only these; default: all")
    .option("--bundle <file>", "an agent's bundle; default: the one that belongs to this stackctl")
    .action(async (hosts: string[], options: { bundle?: string }, command: Command) => {
      const { place, json } = shared(command);
      const bundle = options.bundle === undefined ? null : resolve(options.bundle);
      process.exitCode = await withServer(place, async (session) => {
        const request = { hosts, bundle, by: userInfo().username };
        const view = await session.call("agent-upgrade", request, "preparing the release", 60_000);
        return followUpgrade(session, view, json);
      });
    });
}
