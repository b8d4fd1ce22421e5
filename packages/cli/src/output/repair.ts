import type { ApiAnswer } from "@stackctl/protocol";
import { oneLine, paint } from "./text.ts";

/** What became of `repair`. Pure. */
export function renderRepair(host: string, resource: string, answer: ApiAnswer<"repair">): string {
  const name = `${resource} on ${host}`;
  const why = oneLine(answer.why ?? "");
  switch (answer.outcome) {
    case "unchanged":
      return `${name} is as it should be; nothing was changed.`;
    case "changed":
      return [`${name} is repaired:`, ...answer.changes.map((change) => `  ${oneLine(change)}`)].join("\n");
    case "skipped":
      return `${name} is not repaired yet: ${why}\nFollow it with: stackctl events -f`;
    case "failed":
      return `${paint("red", `${name} could not be repaired`)}: ${why}\nWhat happened to it: stackctl why ${resource}@${host}`;
  }
}
