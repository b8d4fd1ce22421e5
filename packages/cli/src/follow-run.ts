import { maxWaitMs, type ApiAnswer, type RunView } from "@stackctl/protocol";
import { createLogUpdate } from "log-update";
import { remark } from "./commands/command.ts";
import { renderEnd, renderEntry, renderRun } from "./output/run.ts";
import { canRedraw, harmless } from "./output/text.ts";
import type { Session } from "./session.ts";

/** A drawing is renewed this often and never more: its clock runs, and news wait for the next time. */
const redrawMs = 200;
/** What a host does just now is no entry: it may change between two calls without ending the wait of the second. */
const liveWaitMs = 1000;

/**
 * Follows a run to its end: drawn live on a terminal, a line for each thing that happens in a pipe, the result alone with
 * `--json` (the lines are on standard error then). A server that is killed meanwhile is started again, and the run goes on
 * where it was.
 * @returns the exit code: 1 when anything failed
 */
export async function followRun(
  session: Session,
  runId: number,
  options: { readonly json: boolean; readonly joined: boolean },
): Promise<number> {
  const live = canRedraw() && !options.json;
  if (options.joined) remark(`run ${String(runId)} is under way, following it`);
  const draw = live ? createLogUpdate(process.stdout) : null;
  let view: RunView | null = null;
  let after = 0;
  const redraw = (): void => {
    if (view !== null) draw?.(renderRun(view, Date.now()));
  };
  const timer = live ? setInterval(redraw, redrawMs) : null;
  const say = session.say;
  session.say = (text) => {
    draw?.clear();
    say(text);
    redraw();
  };
  const interrupted = (): void => {
    draw?.done();
    remark(`\nrun ${String(runId)} goes on; come back with: stackctl runs attach ${String(runId)}`);
    process.exit(130);
  };
  process.once("SIGINT", interrupted);
  try {
    for (;;) {
      const { run, entries }: ApiAnswer<"run"> = await session.call(
        "run",
        { runId, after, waitMs: view === null ? 0 : live ? liveWaitMs : maxWaitMs },
        view === null ? "asking the server" : null,
        maxWaitMs + 5000,
      );
      view = harmless(run);
      for (const entry of entries) {
        after = Math.max(after, entry.n);
        if (!live)
          (options.json ? process.stderr : process.stdout).write(`${renderEntry(harmless(entry))}\n`);
      }
      if (run.result === undefined) continue;
      draw?.clear();
      process.stdout.write(
        `${options.json ? JSON.stringify(run.result, null, 2) : renderEnd(view, harmless(run.result))}\n`,
      );
      return run.result.outcome === "failed" ? 1 : 0;
    }
  } finally {
    session.say = say;
    if (timer !== null) clearInterval(timer);
    process.off("SIGINT", interrupted);
  }
}
