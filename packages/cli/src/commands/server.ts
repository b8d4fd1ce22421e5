import { join } from "node:path";
import type { Command } from "commander";
import { StackctlError, type ServerFile } from "@stackctl/protocol";
import { connectApi, type ApiClient } from "../bus/nats.ts";
import { duration } from "../output/text.ts";
import { whileWaiting } from "../output/waiting.ts";
import { ensureServer, readServerFile, serverBundle, stopServer } from "../server-process.ts";
import { print, remark, shared } from "./command.ts";

/** `server start|stop|status`. Any command starts it; agents keep their documents true without it. */
export function addServer(program: Command): void {
  const server = program.command("server").description("the server itself");
  server
    .command("start")
    .description("start it unless it runs")
    .action(async (_options: unknown, command: Command) => {
      const { place } = shared(command);
      const before = readServerFile(place);
      await (await ensureServer({ place, bundle: serverBundle, say: remark })).close();
      if (before !== null && readServerFile(place)?.pid === before.pid)
        remark(`the server runs already (pid ${String(before.pid)})`);
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
      const gone = await whileWaiting(
        `waiting for the server (pid ${String(file.pid)}) to end`,
        stopServer(await reached(file), file.pid),
      );
      remark(
        gone
          ? "server stopped"
          : `the server (pid ${String(file.pid)}) has not ended; look at ${join(place.home, "server.log")}`,
      );
      process.exitCode = gone ? 0 : 1;
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
      const answer = await whileWaiting("asking the server", client.call("server", {}));
      await client.close();
      print(
        json,
        answer,
        () =>
          `server ${answer.version}, pid ${String(answer.pid)}, ${file.url}, up ${duration((Date.now() - Date.parse(answer.startedAt)) / 1000)}, ${answer.cloudFile}`,
      );
    });
}

/** A connection with a server; null when it runs and does not answer, for then it has to be ended another way. */
async function reached(file: ServerFile): Promise<ApiClient | null> {
  try {
    return await connectApi(file);
  } catch (error) {
    if (error instanceof StackctlError && error.code === "server_unreachable") return null;
    throw error;
  }
}
