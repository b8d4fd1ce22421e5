import type { AgentEvent, Change, FieldValue } from "@stackctl/protocol";
import type { NewEvent } from "../store/store.ts";

/** One change in a few words, such as `active no -> yes`; texts of many lines as the lines that differ. */
export function describeChange(change: Change): string {
  const { field, from, to } = change;
  if (isMultiline(from) || isMultiline(to)) {
    const before = new Set(String(from ?? "").split("\n"));
    const after = new Set(String(to ?? "").split("\n"));
    const gone = [...before].filter((line) => line !== "" && !after.has(line)).map((line) => `-${line}`);
    const come = [...after].filter((line) => line !== "" && !before.has(line)).map((line) => `+${line}`);
    const lines = [...gone, ...come];
    const shown = lines.slice(0, 3).join(", ");
    return `${field} (${lines.length > 3 ? `${shown} and ${String(lines.length - 3)} more lines` : shown})`;
  }
  return `${field} ${show(from)} -> ${show(to)}`;
}

/**
 * The lines of history that one agent's event stands for.
 * @param origins where the document's resources come from, by id, such as `cloud.yaml:24`
 */
export function eventLines(
  host: string,
  at: string,
  event: AgentEvent,
  origins: Readonly<Record<string, string>>,
): NewEvent[] {
  const line = (type: string, text: string, more: Partial<NewEvent> = {}): NewEvent => ({
    at,
    host,
    service: null,
    resource: null,
    type,
    text: text.slice(0, 2000),
    run: null,
    ...more,
  });
  switch (event.type) {
    case "agent.started":
      return [line(event.type, `agent ${event.version} started`)];
    case "document.applied":
      return event.resources
        .filter((resource) => resource.outcome !== "unchanged")
        .map((resource) =>
          line(
            `resource.${resource.outcome}`,
            [
              resource.changes.map(describeChange).join("; "),
              resource.why ?? "",
              [
                event.cause.run === undefined ? "" : `run ${String(event.cause.run)}`,
                origins[resource.id] ?? "",
                event.cause.text,
              ]
                .filter((part) => part !== "")
                .join(", "),
            ]
              .filter((part) => part !== "")
              .join("; "),
            { service: event.service, resource: resource.id, run: event.cause.run ?? null },
          ),
        );
    case "message.refused":
      return [line(event.type, `${event.subject}: ${event.why}`)];
    case "resource.drifted":
    case "resource.repaired":
      return [
        line(event.type, `${event.changes.map(describeChange).join("; ")}; ${event.cause.text}`, {
          service: event.service,
          resource: event.id,
        }),
      ];
    case "repair.failed":
      return [line(event.type, event.why, { service: event.service, resource: event.id })];
    case "host.rebooting":
      return [
        line(
          event.type,
          [event.cause.run === undefined ? "" : `run ${String(event.cause.run)}`, event.cause.text]
            .filter((part) => part !== "")
            .join(", "),
          {
            service: event.service,
            run: event.cause.run ?? null,
          },
        ),
      ];
    case "agent.left":
      return [
        line(
          event.type,
          ["the agent takes itself away", ...event.kept.map((each) => `kept ${each}`)].join("; "),
        ),
      ];
    // Of permits the history tells what the server decided.
    case "permit.wanted":
    case "permit.returned":
    case "request.answered":
      return [];
  }
}

function isMultiline(value: FieldValue): boolean {
  return typeof value === "string" && value.includes("\n");
}

function show(value: FieldValue): string {
  if (value === null) return "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  const text = String(value);
  return text === "" ? '""' : text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
