import type { Command } from "commander";
import { print, shared, withServer } from "./command.ts";

/** `host forget-key HOST`: takes the SSH key of a host, or of the jump host, back that was pinned, after it was reinstalled. */
export function addHost(program: Command): void {
  program
    .command("host")
    .description("about one host")
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
