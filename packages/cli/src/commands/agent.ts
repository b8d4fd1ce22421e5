import type { Command } from "commander";
import { table } from "../output/text.ts";
import { print, shared, withServer } from "./command.ts";

/** `agent list`: each host's agent, its version and what it does. */
export function addAgent(program: Command): void {
  program
    .command("agent")
    .description("the hosts' agents")
    .command("list")
    .description("each host's agent, its version and what it does")
    .action(async (_options: unknown, command: Command) => {
      const { place, json } = shared(command);
      const { hosts } = await withServer(place, (session) => session.call("status", {}, "asking the server"));
      const agents = hosts.map(({ name, state, agentVersion, doing }) => ({
        name,
        state,
        agentVersion,
        doing,
      }));
      print(json, agents, (shown) =>
        table([
          ["host", "state", "version", ""],
          ...shown.map((agent) => [agent.name, agent.state, agent.agentVersion ?? "-", agent.doing ?? ""]),
        ]).join("\n"),
      );
    });
}
