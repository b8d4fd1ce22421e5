import type { Change, PlanResult, ResourceOutcome } from "@stackctl/protocol";
import { count, oneLine, paint } from "./text.ts";

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
    `${count(changes, "change")} on ${count(hosts, "host")}, ${count(restarts, "restart")}${outage(plan)}`,
    `Plan ${plan.hash}. Apply exactly this with: stackctl apply ${scope.length === 0 ? "aio" : scope.join(" ")} --plan ${plan.hash}`,
  ].join("\n");
}

/** What the users of the cloud will notice; never promised of what the hosts have not said. */
function outage({ services }: PlanResult): string {
  const hosts = services.flatMap((service) => service.hosts);
  const named = (wanted: (host: (typeof hosts)[number]) => boolean): string =>
    [...new Set(hosts.filter(wanted).map(({ host }) => host))].join(", ");
  const rebooted = named(({ resources }) => resources.some(({ restarts }) => restarts.includes("reboot")));
  const fresh = named(({ state }) => state === "new");
  const away = named(({ state }) => state === "unreachable");
  return [
    rebooted === "" && fresh === ""
      ? ", expected API outage: none. No instance is touched."
      : rebooted === ""
        ? "."
        : `. Rebooted: ${rebooted}.`,
    ...(fresh === ""
      ? []
      : [`Set up for the first time, and restarted once unless cloud.yaml says reboot: never: ${fresh}.`]),
    ...(away === "" ? [] : [`Not reached, so not compared: ${away}. Look with: stackctl status`]),
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
      .map(({ id, why }) => `  ? ${id}  ${oneLine(why ?? "cannot be read")}`),
  ];
}

function resourceLines({ id, why, changes, restarts }: ResourceOutcome, from: string | undefined): string[] {
  if (why?.startsWith("removed") === true) {
    const stays = why.slice("removed".length).replace(/^, /, "");
    return [`  - ${id}${stays === "" ? "" : `  ${paint("yellow", oneLine(stays))}`}`];
  }
  return [
    ...changes.flatMap((change, index) =>
      changeLines(`${id} ${change.field}`, change, index === 0 ? origin(from) : ""),
    ),
    ...restarts.map((restart) => `  ! ${restart}`),
  ];
}

function changeLines(name: string, { from, to }: Change, where: string): string[] {
  if ([from, to].some((value) => typeof value === "string" && value.includes("\n"))) {
    const gone = without(linesOf(from), linesOf(to));
    const come = without(linesOf(to), linesOf(from));
    return [
      `  ~ ${name}${where}`,
      ...gone.map((line) => `      ${paint("red", `- ${line}`)}`),
      ...come.map((line) => `      ${paint("green", `+ ${line}`)}`),
      ...(gone.length + come.length === 0 ? ["      only the order of its lines, or empty ones"] : []),
    ];
  }
  return [`  ~ ${name}  ${show(from)} -> ${show(to)}${where}`];
}

/** The lines but empty ones that `lines` has more often than `others`, in their order. */
function without(lines: readonly string[], others: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const line of others) left.set(line, (left.get(line) ?? 0) + 1);
  return lines.filter((line) => {
    const copies = left.get(line) ?? 0;
    left.set(line, copies - 1);
    return line !== "" && copies < 1;
  });
}

function linesOf(value: Change["from"]): string[] {
  return value === null ? [] : String(value).split("\n");
}

function show(value: Change["from"]): string {
  if (value === null) return "none";
  if (value === "") return '""';
  const text = String(value);
  // A digest says only that it differs; all of it is in --json.
  return /^(sha256:)?[0-9a-f]{40,}$/.test(text) ? `${text.slice(0, 16)}...` : text;
}

function origin(text: string | undefined): string {
  return text === undefined ? "" : `      (${text})`;
}
