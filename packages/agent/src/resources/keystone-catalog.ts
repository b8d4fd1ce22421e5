import type { KeystoneCatalogSpec } from "@stackctl/protocol";
import type { Behaviour, Context, State } from "../engine/resource.ts";
import { keystoneApi, listOf, logIn, textOf, type Json, type KeystoneApi } from "./keystone-api.ts";

const interfaces = ["public", "internal", "admin"] as const;
/** What the user of a service is in the services' project. */
const userRoles = ["admin", "service"] as const;
type Service = KeystoneCatalogSpec["services"][number];

/** What keystone has of all that a catalog names. */
interface Found {
  readonly region: boolean;
  /** Id of the services' project; null: there is none. */
  readonly project: string | null;
  readonly services: readonly Json[];
  readonly endpoints: readonly Json[];
}

/** A password that was taken is believed for this long: to try one costs keystone a quarter of a CPU second. */
const triedMs = 10 * 60_000;
/** When which version of a user's password was taken last, monotonic milliseconds. */
const tried = new WeakMap<Context["host"]["web"], Map<string, number>>();

/** Keeps keystone's catalog, and the users of services, by its API. What else is in it is somebody else's and stays. */
export const keystoneCatalog: Behaviour<"keystone-catalog"> = {
  async read(context, spec): Promise<State> {
    const api = keystoneApi(context, spec);
    const found = await look(api, spec);
    const state: Record<string, string | null> = {
      region: found.region ? "there" : null,
      project: found.project === null ? null : "there",
    };
    for (const service of spec.services) {
      const [known] = ofType(found, service);
      state[service.type] = known === undefined ? null : textOf(known, "name");
      for (const face of interfaces) {
        const urls = endpointsOf(found, spec, service, face).map((each) => textOf(each, "url"));
        state[`${service.type} ${face}`] = urls.length === 0 ? null : urls.join(", ");
      }
      if (service.user !== null)
        state[`user ${service.user.name}`] = await userState(context, spec, service.user);
    }
    return state;
  },
  desired(spec): State {
    const state: Record<string, string> = { region: "there", project: "there" };
    for (const { type, name, endpoints, user } of spec.services) {
      state[type] = name;
      for (const face of interfaces) state[`${type} ${face}`] = endpoints[face];
      if (user !== null) state[`user ${user.name}`] = "current";
    }
    return state;
  },
  async apply(context, spec, changes) {
    const { doing } = context;
    const api = keystoneApi(context, spec);
    const differs = new Set(changes.map(({ field }) => field));
    let found = await look(api, spec);
    if (!found.region) await api.send("POST", "/regions", { region: { id: spec.region } });
    if (found.project === null)
      await api.send("POST", "/projects", {
        project: { name: spec.project, domain_id: "default", enabled: true },
      });
    for (const { type, name } of spec.services) {
      if (!differs.has(type)) continue;
      doing(`entering ${type} in the catalog`);
      const [known] = ofType(found, { type });
      if (known === undefined)
        await api.send("POST", "/services", { service: { type, name, enabled: true } });
      else await api.send("PATCH", `/services/${textOf(known, "id")}`, { service: { name } });
    }
    found = await look(api, spec);
    for (const service of spec.services) await placeEndpoints(api, spec, service, found);
    for (const { user } of spec.services)
      if (user !== null && differs.has(`user ${user.name}`)) await placeUser(context, api, spec, user, found);
  },
  // It is all in keystone's database, which is data.
  remove: () => Promise.resolve(),
  owns: () => [],
  restarts: () => [],
  disrupts: () => null,
  watch: () => ({}),
};

async function look(api: KeystoneApi, { region, project }: KeystoneCatalogSpec): Promise<Found> {
  const [regions, projects, services, endpoints] = await Promise.all([
    api.get(`/regions/${region}`),
    api.get(`/projects?domain_id=default&name=${project}`),
    api.get("/services"),
    api.get("/endpoints"),
  ]);
  const [known] = listOf(projects, "projects");
  return {
    region: regions !== null,
    project: known === undefined ? null : textOf(known, "id"),
    services: listOf(services, "services"),
    endpoints: listOf(endpoints, "endpoints"),
  };
}

/** The oldest id first, so that of two of a type it is always the same one. */
function ofType({ services }: Found, { type }: Pick<Service, "type">): Json[] {
  return services
    .filter((each) => each["type"] === type && each["enabled"] !== false)
    .toSorted((a, b) => (textOf(a, "id") < textOf(b, "id") ? -1 : 1));
}

function endpointsOf(
  found: Found,
  { region }: KeystoneCatalogSpec,
  service: Pick<Service, "type">,
  face: (typeof interfaces)[number],
): Json[] {
  const [known] = ofType(found, service);
  return found.endpoints.filter(
    (each) =>
      known !== undefined &&
      each["service_id"] === known["id"] &&
      each["interface"] === face &&
      each["region_id"] === region &&
      each["enabled"] !== false,
  );
}

async function placeEndpoints(
  api: KeystoneApi,
  spec: KeystoneCatalogSpec,
  service: Service,
  found: Found,
): Promise<void> {
  for (const face of interfaces) {
    const url = service.endpoints[face];
    const [first, ...more] = endpointsOf(found, spec, service, face);
    const body = {
      endpoint: {
        service_id: textOf(ofType(found, service)[0], "id"),
        interface: face,
        region_id: spec.region,
        url,
        enabled: true,
      },
    };
    if (first === undefined) await api.send("POST", "/endpoints", body);
    else if (textOf(first, "url") !== url)
      await api.send("PATCH", `/endpoints/${textOf(first, "id")}`, { endpoint: { url } });
    // Whoever reads the catalog would take one of them, and nobody knows which.
    for (const each of more) await api.send("DELETE", `/endpoints/${textOf(each, "id")}`);
  }
}

/** Whether the user can log in with its password, in its project, as what it has to be. */
async function userState(
  { host, reveal }: Context,
  { url, project }: KeystoneCatalogSpec,
  { name, password }: NonNullable<Service["user"]>,
): Promise<"current" | "other"> {
  const taken = tried.get(host.web) ?? new Map<string, number>();
  tried.set(host.web, taken);
  const key = `${name} ${String(password.version)} ${url}`;
  if (performance.now() - (taken.get(key) ?? -triedMs) < triedMs) return "current";
  const answer = await logIn(host, url, name, reveal(password), project);
  if (answer.status !== 201) return "other";
  const { token } = JSON.parse(answer.text) as { token: Json };
  const roles = listOf(token, "roles").map((role) => textOf(role, "name"));
  if (!userRoles.every((role) => roles.includes(role))) return "other";
  taken.set(key, performance.now());
  return "current";
}

async function placeUser(
  { reveal }: Context,
  api: KeystoneApi,
  spec: KeystoneCatalogSpec,
  { name, password }: NonNullable<Service["user"]>,
  { project }: Found,
): Promise<void> {
  const [known] = listOf(await api.get(`/users?domain_id=default&name=${name}`), "users");
  const wish = { password: reveal(password), enabled: true };
  const user =
    known === undefined
      ? await api.send("POST", "/users", { user: { ...wish, name, domain_id: "default" } })
      : await api.send("PATCH", `/users/${textOf(known, "id")}`, { user: wish });
  const id = textOf(user["user"] as Json | undefined, "id");
  for (const role of userRoles) {
    const [found] = listOf(await api.get(`/roles?name=${role}`), "roles");
    const roleId = textOf(
      found ?? ((await api.send("POST", "/roles", { role: { name: role } }))["role"] as Json | undefined),
      "id",
    );
    await api.send("PUT", `/projects/${project ?? ""}/users/${id}/roles/${roleId}`);
  }
}
