import type { HostRemoval } from "@stackctl/protocol";
import { moment, oneLine, paint, table } from "./text.ts";

/** What a host loses when it is removed, for the person who has to say yes. Pure. */
export function renderRemoval({ host, there, since, services, secrets }: HostRemoval, nowMs: number): string {
  const rows = services
    .filter(({ resources }) => resources.length > 0)
    .map(({ service, resources }) => [`  ${service}`, resources.map(({ id }) => id).join(", ")]);
  const kept = services.flatMap(({ resources }) =>
    resources
      .filter(({ why }) => why.includes("kept: "))
      .map(({ id, why }) => `  ${id} ${oneLine(why.replace("removed, ", ""))}`),
  );
  if (!there) {
    return [
      `${paint("red", host)} does not answer${since === null ? "" : ` since ${moment(since, nowMs)}`}. Once it counts as absent it is forgotten as it is; on its disk stays:`,
      ...table(rows),
      ...(secrets.length === 0 ? [] : [`It knows ${secrets.join(", ")}: give those a new value.`]),
      "Should it ever return, it is let in no more.",
    ].join("\n");
  }
  return [
    `${paint("red", host)} leaves the cloud for good. This is taken away there, then its agent:`,
    ...table(rows),
    ...(kept.length === 0 ? [] : ["This stays, because it is data, or of somebody else:", ...kept]),
  ].join("\n");
}
