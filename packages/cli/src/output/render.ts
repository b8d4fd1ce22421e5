import type { RenderView } from "@stackctl/protocol";
import { count, oneLine, paint } from "./text.ts";
import { valueLines } from "./value.ts";

/** What a host would be told: its services in order, their resources, every value and where it is from. Pure. */
export function renderRender({ host, role, services }: RenderView): string {
  const waiting = services.filter(({ waits }) => waits !== null);
  const resources = services.reduce((sum, service) => sum + service.resources.length, 0);
  return [
    `${host} (${role}): ${count(services.length, "service")}, ${count(resources, "resource")}${waiting.length === 0 ? "" : `, ${String(waiting.length)} waiting`}`,
    ...services.flatMap((service) => ["", ...serviceLines(service)]),
  ].join("\n");
}

function serviceLines({ service, needs, waits, resources }: RenderView["services"][number]): string[] {
  const head = `${paint("bold", service)}${needs.length === 0 ? "" : `  after ${needs.join(", ")}`}`;
  if (waits !== null) return [head, `  ${paint("yellow", `waits: ${oneLine(waits)}`)}`];
  if (resources.length === 0) return [head, "  leaves the host: what it made there is taken away"];
  return [
    head,
    ...resources.flatMap(({ id, origin, values }) => [
      `  ${id}  (${origin})`,
      ...valueLines(
        values.map(({ field, value, origins }) => ({ name: field, value, origins })),
        "    ",
      ),
    ]),
  ];
}
