import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { maxLogLines, maxWaitMs, type ApiAnswer, type ApiRequest, type LogHost } from "@stackctl/protocol";
import { remark } from "./commands/command.ts";
import { logRemarks, renderLogEntry } from "./output/logs.ts";
import { harmless } from "./output/text.ts";
import type { Session } from "./session.ts";

/** What is asked for; the rest of the call is the reading's own. */
export type LogAsked = Pick<ApiRequest<"logs">, "service" | "host" | "lines" | "sinceUs" | "follow">;

/** How long the server may take to hear that nobody reads any more, after Ctrl-C. */
const endMs = 1000;

/**
 * Shows a log to its end, or follows it until Ctrl-C; one JSON object a line with `json`. What is no line of the log is on
 * standard error. A server that is killed meanwhile is started again, and goes on after the last line.
 * @returns the exit code: 1 when no host could be read
 */
export async function followLog(session: Session, asked: LogAsked, json: boolean): Promise<number> {
  const reading = randomUUID();
  const interrupted = (): void => {
    // The server ends what nobody asks for any more by itself, only later.
    void Promise.race([session.call("logs-end", { reading }, null, endMs), pause(endMs)])
      .catch(() => undefined)
      .then(() => process.exit(130));
  };
  process.once("SIGINT", interrupted);
  let hosts: readonly LogHost[] = [];
  let after = 0;
  let newestUs: number | null = null;
  let shown = 0;
  try {
    for (;;) {
      const resumed = newestUs === null ? asked : { ...asked, lines: maxLogLines, sinceUs: newestUs + 1 };
      const answer: ApiAnswer<"logs"> = await session.call(
        "logs",
        { ...resumed, reading, after, waitMs: maxWaitMs },
        shown === 0 && !asked.follow ? "asking the hosts" : null,
        maxWaitMs + 10_000,
      );
      for (const text of logRemarks(hosts, answer.hosts)) remark(harmless(text));
      const names = answer.hosts.map(({ host }) => host);
      for (const entry of answer.lines)
        process.stdout.write(`${json ? JSON.stringify(entry) : renderLogEntry(entry, names, Date.now())}\n`);
      hosts = answer.hosts;
      after = answer.next;
      newestUs = answer.newestUs ?? newestUs;
      shown += answer.lines.length;
      if (!answer.done) continue;
      if (answer.earlier)
        remark(`these are the last ${String(shown)} lines since then; more with: -n, or a later --since`);
      if (hosts.every(({ problem }) => problem !== null)) return 1;
      if (shown === 0 && asked.lines > 0)
        remark(`${asked.service} has said nothing${asked.sinceUs === null ? "" : " since then"}`);
      return 0;
    }
  } finally {
    process.off("SIGINT", interrupted);
  }
}
