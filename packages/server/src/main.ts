import { writeSync } from "node:fs";
import { join, resolve } from "node:path";
import { text as readAll } from "node:stream/consumers";
import { parseArgs } from "node:util";
import pino from "pino";
import { errorData, StackctlError } from "@stackctl/protocol";
import { namesOf } from "./compile/names.ts";
import { initAnswers, renderInit } from "./config/init.ts";
import { loadCloud, parseCloud } from "./config/load.ts";
import type { LoadedCloud } from "./config/model.ts";
import { configOf } from "./config/show.ts";
import { startServer } from "./server.ts";

/** The descriptor on which whoever started the server hears how the start went, one JSON object a line. */
const readyDescriptor = 3;

/**
 * `start --cloud FILE --home DIR`: serves until it is told to end. Says `{progress}`, then `{ready}` or `{error}` on
 * descriptor 3. `init`: answers as JSON on standard input, `{file}` or `{error}` on standard output. `config --cloud FILE`
 * and `names --cloud FILE`: what the file says, or `{error}`, on standard output; no server is needed for it.
 */
async function main(): Promise<void> {
  const [command = "", ...args] = process.argv.slice(2);
  switch (command) {
    case "start":
      return start(args);
    case "init":
      return init();
    case "config":
      tell(args, configOf);
      return;
    case "names":
      tell(args, namesOf);
      return;
    default:
      throw new StackctlError("usage", `unknown command ${command}; there are start, init, config and names`);
  }
}

async function start(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { cloud: { type: "string" }, home: { type: "string" }, agent: { type: "string" } },
  });
  if (values.cloud === undefined || values.home === undefined)
    throw new StackctlError("usage", "start needs --cloud and --home");
  const home = resolve(values.home);
  const logger = pino(
    { base: null },
    pino.destination({ dest: join(home, "server.log"), mkdir: true, mode: 0o600, sync: true }),
  );
  const log = (fields: Record<string, unknown>, message: string): void => {
    logger.info(fields, message);
  };
  try {
    const server = await startServer({
      cloudFile: resolve(values.cloud),
      home,
      ...(values.agent === undefined ? {} : { agentBundle: resolve(values.agent) }),
      log,
      progress: (progress) => {
        say({ progress });
      },
    });
    const end = (): void => {
      void server.stop().then(() => process.exit(0));
    };
    process.on("SIGTERM", end);
    process.on("SIGINT", end);
    void server.stopped.then(end);
    say({ ready: true });
  } catch (error) {
    log({ err: error }, "server did not start");
    say({ error: errorData(error) });
    process.exit(1);
  }
}

async function init(): Promise<void> {
  try {
    const answers = initAnswers.safeParse(JSON.parse(await readAll(process.stdin)));
    if (!answers.success) {
      const [issue] = answers.error.issues;
      throw new StackctlError("usage", `${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`, {
        details: { remedy: "stackctl init --help" },
      });
    }
    const file = renderInit(answers.data);
    // What was answered goes into the file as it is: what would be a mistake there is one here.
    parseCloud(file, "cloud.yaml");
    process.stdout.write(JSON.stringify({ file }));
  } catch (error) {
    process.stdout.write(JSON.stringify({ error: errorData(error) }));
  }
}

/** Answers a question about the file alone. */
function tell(args: string[], answer: (loaded: LoadedCloud) => unknown): void {
  try {
    const { values } = parseArgs({ args, options: { cloud: { type: "string" } } });
    if (values.cloud === undefined) throw new StackctlError("usage", "--cloud is needed");
    process.stdout.write(JSON.stringify(answer(loadCloud(resolve(values.cloud)))));
  } catch (error) {
    process.stdout.write(JSON.stringify({ error: errorData(error) }));
  }
}

function say(line: unknown): void {
  try {
    writeSync(readyDescriptor, `${JSON.stringify(line)}\n`);
  } catch (error) {
    // Started by hand, without that descriptor, or whoever listened is gone: nobody is there to hear it.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EBADF" && code !== "EPIPE") throw error;
  }
}

await main();
