import { errorCodes, errorData, StackctlError } from "@stackctl/protocol";
import { harmless, paint, table } from "./text.ts";

/** What a person reads of an error, and the exit code that goes with it. */
export function renderError(error: unknown): { readonly text: string; readonly exitCode: number } {
  const { code, message, details } = harmless(errorData(error));
  if (errorCodes[code] === "bug") {
    const stack =
      error instanceof Error && !(error instanceof StackctlError) ? (error.stack ?? message) : message;
    return {
      text: `${paint("red", "this is a bug of stackctl, please report it", process.stderr)}\n${stack}`,
      exitCode: 70,
    };
  }
  const lines: string[] = [];
  const { mistakes, expected, found, remedy, command } = details;
  if (mistakes !== undefined) {
    lines.push(
      ...table(
        mistakes.map(({ file, line, column, path, message: text }) => [
          `${file}:${String(line)}:${String(column)}`,
          path,
          text,
        ]),
      ),
    );
    lines.push(message);
  } else {
    lines.push(paint("red", message, process.stderr));
    if (expected !== undefined && !message.includes(expected)) lines.push(`  expected: ${expected}`);
    if (found !== undefined && !message.includes(found)) lines.push(`  found:    ${found}`);
    if (command !== undefined && command.stderr !== "")
      lines.push(
        ...command.stderr
          .split("\n")
          .slice(-5)
          .map((line) => `  ${line}`),
      );
  }
  if (remedy !== undefined) lines.push(remedy);
  return { text: lines.join("\n"), exitCode: code === "usage" ? 2 : 1 };
}
