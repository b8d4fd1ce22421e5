import type { Change, PlanResult, ResourceOutcome } from "@stackctl/protocol";
import { count, paint } from "./text.ts";

/** What an apply would do: services in order, hosts with the same changes together, then the totals and how to apply it. Pure. */
export function renderPlan(plan: PlanResult, scope: readonly string[]): string {
  const lines: string[] = [];
  for (const { service, hosts } of plan.services) {
    const groups = new Map<string, string[]>();
    for (const host of hosts) {
      const text = hostLines(host).join("\n");
      groups.set(text, [...(groups.get(text) ?? []), host.host]);
    }
    for (const [text, names] of groups)
      lines.push(`${paint("bold", service)}  ${names.join(", ")}`, text, "");
  }
  const { changes, hosts, restarts } = plan.totals;
  if (changes === 0) {
    const away = [
      ...new Set(
        plan.services.flatMap((service) =>
          service.hosts.filter(({ state }) => state === "unreachable").map(({ host }) => host),
        ),
      ),
    ];
    return [
      ...lines,
      away.length === 0
        ? "Nothing to do."
        : `Nothing to do on the others; not reached: ${away.join(", ")}. Look with: stackctl status`,
    ].join("\n");
  }
  return [
    ...lines,
    `${count(changes, "change")} on ${count(hosts, "host")}, ${count(restarts, "restart")}, expected API outage: none. No instance is touched.`,
    `Plan ${plan.hash}. Apply exactly this with: stackctl apply ${scope.length === 0 ? "aio" : scope.join(" ")} --plan ${plan.hash}`,
  ].join("\n");
}

function hostLines({ state, resources, origins }: PlanResult["services"][number]["hosts"][number]): string[] {
  if (state === "unreachable") return ["  ? not reached, so not compared"];
  const planned = resources.filter(({ outcome }) => outcome === "planned");
  if (state === "new") return planned.map(({ id }) => `  + ${id}${origin(origins[id])}`);
  return [
    ...planned.flatMap((resource) => resourceLines(resource, origins[resource.id])),
    ...resources
      .filter(({ outcome }) => outcome === "failed")
      .map(({ id, why }) => `  ? ${id}  ${why ?? "cannot be read"}`),
  ];
}

function resourceLines({ id, why, changes, restarts }: ResourceOutcome, from: string | undefined): string[] {
  if (why === "removed") return [`  - ${id}`];
  return [
    ...changes.flatMap((change, index) =>
      changeLines(`${id} ${change.field}`, change, index === 0 ? origin(from) : ""),
    ),
    ...restarts.map((restart) => `  ! ${restart}`),
  ];
}

function changeLines(name: string, { from, to }: Change, where: string): string[] {
  if (typeof to === "string" && to.includes("\n")) {
    const before = typeof from === "string" ? from.split("\n") : [];
    const after = to.split("\n");
    return [
      `  ~ ${name}${where}`,
      ...before
        .filter((line) => line !== "" && !after.includes(line))
        .map((line) => `      ${paint("red", `- ${line}`)}`),
      ...after
        .filter((line) => line !== "" && !before.includes(line))
        .map((line) => `      ${paint("green", `+ ${line}`)}`),
    ];
  }
  return [`  ~ ${name}  ${show(from)} -> ${show(to)}${where}`];
}

function show(value: Change["from"]): string {
  if (value === null) return "none";
  return typeof value === "string" && value.includes("\n") ? "(text)" : String(value);
}

function origin(text: string | undefined): string {
  return text === undefined ? "" : `      (${text})`;
}
