import { enableCompileCache } from "node:module";
import { CommanderError } from "commander";
import { renderError } from "./output/errors.ts";
import { makeProgram } from "./program.ts";

// The second start of a new version is quicker by a third.
enableCompileCache();

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // `stackctl events | head` closes the pipe: whoever read has seen enough.
  if (error.code === "EPIPE") process.exit(0);
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
