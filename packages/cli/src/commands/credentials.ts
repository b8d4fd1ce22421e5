import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Option, type Command } from "commander";
import { renderCloudsYaml, renderOpenrc } from "../output/credentials.ts";
import { print, shared, withServer } from "./command.ts";

/** `credentials`: how to log in as the cloud's admin, for OpenStack's own clients. Shows the password: that is what it is for. */
export function addCredentials(program: Command): void {
  program
    .command("credentials")
    .description("how to log in as the cloud's admin, for OpenStack's own clients; shows the password")
    .addOption(
      new Option("--format <format>", "what is printed").choices(["openrc", "clouds-yaml"]).default("openrc"),
    )
    .action(async ({ format }: { format: "openrc" | "clouds-yaml" }, command: Command) => {
      const { place, json } = shared(command);
      const given = await withServer(place, (session) =>
        session.call("credentials", {}, "asking the server"),
      );
      const authorityFile = join(place.home, "ca.pem");
      // No secret, and the clients want it as a file.
      writeFileSync(authorityFile, given.authority, { mode: 0o644 });
      print(json, given, (shown) =>
        format === "openrc" ? renderOpenrc(shown, authorityFile) : renderCloudsYaml(shown, authorityFile),
      );
    });
}
