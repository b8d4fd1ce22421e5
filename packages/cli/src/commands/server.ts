import type { Command } from "commander";
import { connectApi } from "../bus/nats.ts";
import { duration } from "../output/text.ts";
import { ensureServer, readServerFile, stopServer } from "../server-process.ts";
import { print, remark, shared } from "./command.ts";

/** `server start|stop|status`. Any command starts it; agents keep their documents true without it. */
export function addServer(program: Command): void {
  const server = program.command("server").description("the server itself");
  server
    .command("start")
    .description("start it unless it runs")
    .action(async (_options: unknown, command: Command) => {
      const { place } = shared(command);
      await (await ensureServer(place, remark)).close();
    });
  server
    .command("stop")
    .description("end it; agents keep their documents true")
    .action(async (_options: unknown, command: Command) => {
      const { place } = shared(command);
      const file = readServerFile(place);
      if (file === null) {
        remark("no server runs");
        return;
      }
      const gone = await stopServer(await connectApi(file), file.pid);
      remark(gone ? "server stopped" : `the server (pid ${String(file.pid)}) has not ended yet`);
    });
  server
    .command("status")
    .description("which one runs")
    .action(async (_options: unknown, command: Command) => {
      const { place, json } = shared(command);
      const file = readServerFile(place);
      if (file === null) {
        remark(`no server runs for ${place.cloudFile}; any command starts it`);
        process.exitCode = 1;
        return;
      }
      const client = await connectApi(file);
      const answer = await client.call("server", {});
      await client.close();
      print(
        json,
        answer,
        () =>
          `server ${answer.version}, pid ${String(answer.pid)}, ${file.url}, up ${duration((Date.now() - Date.parse(answer.startedAt)) / 1000)}, ${answer.cloudFile}`,
      );
    });
}
