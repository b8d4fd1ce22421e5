import type { UpgradeView } from "@stackctl/protocol";
import { createLogUpdate } from "log-update";
import { remark } from "./commands/command.ts";
import { renderUpgrade, renderUpgradeEnd, renderUpgradeHost } from "./output/upgrade.ts";
import { canRedraw, harmless } from "./output/text.ts";
import type { Session } from "./session.ts";

/** What hosts do changes often; this is how long one call waits for it. */
const waitMs = 1000;

/**
 * Follows an upgrade of agents to its end: drawn live on a terminal, a line for each thing that happens in a pipe, the view
 * alone with `--json`. A server that is killed meanwhile is started again, and the upgrade goes on.
 * @returns the exit code: 1 when it failed
 */
export async function followUpgrade(session: Session, first: UpgradeView, json: boolean): Promise<number> {
  const draw = canRedraw() && !json ? createLogUpdate(process.stdout) : null;
  const said = new Map<string, string>();
  const interrupted = (): void => {
    draw?.done();
    remark("\nthe upgrade goes on; look with: stackctl agent list");
    process.exit(130);
  };
  process.once("SIGINT", interrupted);
  let view = harmless(first);
  try {
    for (;;) {
      if (draw === null) {
        for (const host of view.hosts) {
          const line = renderUpgradeHost(host);
          // How far a file is sent is no event.
          const mark = line.replace(/ \d+ %$/, "");
          if (host.state !== "pending" && said.get(host.host) !== mark)
            (json ? process.stderr : process.stdout).write(`${line}\n`);
          said.set(host.host, mark);
        }
      } else draw(renderUpgrade(view));
      const { id } = view;
      if (view.state === "done" || id === null) break;
      view = harmless(await session.call("agent-upgrade-news", { id, waitMs }, null, 15_000));
    }
  } finally {
    process.off("SIGINT", interrupted);
  }
  draw?.clear();
  process.stdout.write(`${json ? JSON.stringify(view, null, 2) : renderUpgradeEnd(view)}\n`);
  return view.outcome === "failed" ? 1 : 0;
}
