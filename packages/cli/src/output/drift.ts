import type { ApiAnswer } from "@stackctl/protocol";
import { moment, oneLine, table } from "./text.ts";

/** What differs now, a line for each with what to type. Pure. */
export function renderDrift(drift: ApiAnswer<"drift">["drift"], nowMs: number): string {
  if (drift.length === 0) return "No drift.";
  return table(
    drift.map(({ host, resource, since, text, repair }) => [
      host,
      resource,
      `since ${moment(since, nowMs)}`,
      oneLine(`${text}; ${repair}`),
    ]),
  ).join("\n");
}
