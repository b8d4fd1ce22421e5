import { CommanderError } from "commander";
import { renderError } from "./output/errors.ts";
import { makeProgram } from "./program.ts";

/** What a shell says of a command whose reader went away (128 + SIGPIPE): not that it succeeded. */
const pipeClosed = 141;

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // `stackctl events -f | head` closes the pipe: whoever read has seen enough.
  if (error.code === "EPIPE") process.exit(process.exitCode ?? pipeClosed);
  throw error;
});

try {
  await makeProgram().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    const { text, exitCode } = renderError(error);
    process.stderr.write(`${text}\n`);
    process.exitCode = exitCode;
  }
}
