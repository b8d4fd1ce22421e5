import { execFile } from "node:child_process";
import { StackctlError } from "@stackctl/protocol";

/** How a command ended. */
export interface Ended {
  /** Null: it was ended by a signal. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The environment of everything that the agent starts; nothing of the agent's own is inherited. */
export const environment = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LC_ALL: "C.UTF-8",
  DEBIAN_FRONTEND: "noninteractive",
  HOME: "/root",
} as const;

/**
 * Runs a command that only reads, to its end; its exit code is for the caller to judge. What changes the host goes
 * through `command.ts` instead.
 * @param input what it finds on its standard input; the way for what others must not see in its arguments
 * @throws StackctlError `command_timeout`; `command_failed` when it cannot be started or says more than 4 MiB
 */
export function query(file: string, args: readonly string[], timeoutMs = 10_000, input = ""): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      args,
      {
        timeout: timeoutMs,
        killSignal: "SIGKILL",
        maxBuffer: 4 << 20,
        env: environment,
        cwd: "/",
        encoding: "utf8",
      },
      (error, stdout, stderr) => {
        const argv = [file, ...args];
        if (error === null) {
          resolve({ code: 0, stdout, stderr });
        } else if (typeof error.code === "number") {
          resolve({ code: error.code, stdout, stderr });
        } else if (typeof error.code === "string") {
          reject(
            new StackctlError("command_failed", `${file} did not run: ${error.message}`, {
              details: { command: { argv, code: null, stderr: lastLines(stderr) } },
              cause: error,
            }),
          );
        } else if (error.killed === true) {
          reject(
            new StackctlError(
              "command_timeout",
              `${argv.join(" ")} did not end within ${String(timeoutMs / 1000)} s`,
              {
                retryable: true,
                details: { command: { argv, code: null, stderr: lastLines(stderr) } },
                cause: error,
              },
            ),
          );
        } else {
          resolve({ code: null, stdout, stderr });
        }
      },
    );
    // A command that ends without reading closes its end; what it made of that is told by its exit.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });
}

/** The end of what a command said, as much of it as an error carries. */
export function lastLines(text: string): string {
  return text.trimEnd().split("\n").slice(-20).join("\n").slice(-4000);
}
