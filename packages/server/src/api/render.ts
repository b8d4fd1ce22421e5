import { resourceId, StackctlError, type RenderView } from "@stackctl/protocol";
import { compileHost } from "../compile/compile.ts";
import { originsOf, specValues, type Compile } from "../compile/origins.ts";
import type { LoadedCloud } from "../config/model.ts";
import { primaryOf, type Planner } from "../run/planner.ts";
import { hostsOf } from "../run/scope.ts";
import { services } from "../services/index.ts";

/**
 * What a host's documents would be, each value with what it follows from. Asks no host and changes nothing.
 * @param only the one service that is wanted; null: all
 * @throws StackctlError `host_unknown`, `service_unknown`, `secret_missing`
 */
export function renderHost(
  loaded: LoadedCloud,
  planner: Pick<Planner, "compile" | "context">,
  name: string,
  only: string | null,
): RenderView {
  const [host] = hostsOf(loaded.cloud, [name]);
  if (host === undefined) throw new Error(`${name} is in no scope`);
  const { documents, waiting } = planner.compile(loaded, host);
  const context = planner.context(loaded);
  const index = loaded.cloud.hosts.indexOf(host);
  const compile: Compile = (cloud, more = {}) => {
    const same = cloud.hosts[index];
    if (same === undefined) throw new Error("a host went away");
    const changed = { ...context, cloud, primary: primaryOf(cloud, context.primary), ...more };
    return compileHost(same, changed, (path) => loaded.origin(path), []);
  };
  const originsOfValue = originsOf(loaded, context, index, compile);

  const order = services.map(({ name: service }) => service);
  const rows: RenderView["services"] = [
    ...documents.map((document) => ({
      service: document.service,
      needs: [...document.needs],
      waits: null,
      digest: document.digest,
      resources: document.resources.map((resource) => ({
        id: resourceId(resource),
        origin: document.origins[resourceId(resource)] ?? "",
        values: specValues(resource).map((value) => ({
          field: value.field,
          value: value.value,
          origins: originsOfValue(document, resource, value),
        })),
      })),
    })),
    ...[...waiting].map(([service, waits]) => ({
      service,
      needs: (services.find((each) => each.name === service)?.needs ?? []).filter(
        (need) => waiting.has(need) || documents.some((document) => document.service === need),
      ),
      waits,
      digest: null,
      resources: [],
    })),
  ];
  // What leaves the host is known to no order, and goes last.
  const place = (service: string): number => (order.indexOf(service) + order.length + 1) % (order.length + 1);
  const sorted = rows.toSorted((a, b) => place(a.service) - place(b.service));
  if (only !== null && !sorted.some(({ service }) => service === only)) {
    throw new StackctlError("service_unknown", `${name} has no part in ${only}`, {
      details: {
        expected: `one of ${sorted.map(({ service }) => service).join(", ")}`,
        found: only,
        remedy: `stackctl render ${name}`,
      },
    });
  }
  return {
    host: name,
    role: host.role,
    services: only === null ? sorted : sorted.filter(({ service }) => service === only),
  };
}
