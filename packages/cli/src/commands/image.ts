import { userInfo } from "node:os";
import type { Command } from "commander";
import { followRun } from "../follow-run.ts";
import { renderImages, renderPruned } from "../output/image.ts";
import { print, shared, withServer } from "./command.ts";

/** `image list`, `image build [NAME...]`, `image prune`: what containers are made of. */
export function addImage(program: Command): void {
  const image = program.command("image").description("about the images that containers are made of");
  image
    .command("list")
    .description("every image: when it was built, where it is, what runs on it")
    .action(async (_options: unknown, command: Command) => {
      const { place, json } = shared(command);
      const list = await withServer(place, (session) => session.call("image-list", {}, "asking the server"));
      print(json, list, (shown) => renderImages(shown, Date.now()));
    });
  image
    .command("build")
    .description("build images anew with the packages of the day; what runs on them follows one by one")
    .argument("[name...]", "all unless given; base means all that are made from it")
    .action(async (names: string[], _options: unknown, command: Command) => {
      const { place, json } = shared(command);
      process.exitCode = await withServer(place, async (session) => {
        const request = { names, by: userInfo().username };
        const { runId, joined } = await session.call("image-build", request, "starting the run", 60_000);
        return followRun(session, runId, { json, joined });
      });
    });
  image
    .command("prune")
    .description("take away what no document names any more, from registries and hosts; nothing is stopped")
    .action(async (_options: unknown, command: Command) => {
      const { place, json } = shared(command);
      const pruned = await withServer(place, (session) =>
        session.call("image-prune", { by: userInfo().username }, "taking unused images away", 130_000),
      );
      print(json, pruned, renderPruned);
      process.exitCode = pruned.hosts.some(({ outcome }) => outcome === "failed") ? 1 : 0;
    });
}
