import {
  pruneAnswer,
  repairAnswer,
  StackctlError,
  type ApiAnswer,
  type ImageList,
  type ImagePruned,
  type PruneRequest,
  type Resource,
} from "@stackctl/protocol";
import type { Cloud, LoadedCloud } from "../config/model.ts";
import type { Questions } from "../fleet/ask.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Holds } from "../fleet/holds.ts";
import { primaryOf, type Planner } from "../run/planner.ts";
import type { Runs } from "../run/runs.ts";
import { recipesOf } from "../services/images.ts";
import { registryName, registryPrimaryOf } from "../services/registry-name.ts";
import type { DocumentRow, Store } from "../store/store.ts";

/** How long one host may take to prune, with what its agent is just doing. */
const pruneMs = 115_000;
/** How long a registry may take to be completed before it becomes the first. */
const mirrorMs = 110_000;

export interface ImagesOptions {
  readonly store: Store;
  readonly fleet: Pick<Fleet, "presence">;
  readonly holds: Pick<Holds, "why" | "covering">;
  readonly planner: Pick<Planner, "compile">;
  readonly runs: Pick<Runs, "start" | "underWay">;
  readonly questions: Pick<Questions, "ask">;
  /** The authority of the cloud's own registry, PEM. */
  readonly authority: () => string;
}

/** Every image, from what the server knows already: nobody is asked. */
export function imageListOf(cloud: Cloud, store: Store): ImageList {
  const primary = registryPrimary(cloud, store);
  const history = store.imageHistory();
  const images = store.images();
  const documents = cloud.hosts.flatMap(({ name }) => store.documents(name));
  const controllers = cloud.hosts
    .filter(({ role }) => role === "controller")
    .map(({ name }) => name)
    .toSorted((a, b) => Number(b === primary) - Number(a === primary));
  return {
    registry: {
      name: cloud.registry?.name ?? registryName(cloud),
      primary,
      outside: cloud.registry !== null,
    },
    images: recipesOf(cloud, store.imageBuilds()).map((recipe) => {
      const built = images.get(recipe.name) ?? null;
      const recorded = history.findLast(({ name }) => name === recipe.name);
      const digest = built?.digest ?? null;
      return {
        name: recipe.name,
        recipe: recipe.digest,
        state: built === null ? "missing" : built.recipe === recipe.digest ? "built" : "outdated",
        builtAt: recorded?.at ?? null,
        id: built?.id ?? null,
        digest,
        sizeBytes: recorded?.sizeBytes ?? null,
        registries:
          cloud.registry !== null || built === null || digest === null
            ? []
            : controllers.filter((host) => holdsImage(store, host, recipe.name, built.recipe, digest)),
        usedBy: built === null ? [] : usersOf(documents, built.id),
      };
    }),
  };
}

/** True when the registry on a host was seen to hold an image. */
function holdsImage(store: Store, host: string, name: string, recipe: string, digest: string): boolean {
  return ["images", "registry-mirror"].some((service) => {
    const document = store.document(host, service);
    const applied = store.applied(host, service);
    if (document === null || applied?.seq !== document.seq || applied.outcome === "failed") return false;
    return document.body.resources.some(({ type, spec }) => {
      if (type === "registry-mirror")
        return spec.images.some((each) => each.name === name && each.digest === digest);
      return type === "image-set" && spec.images.some((each) => each.name === name && each.digest === recipe);
    });
  });
}

/** Services whose containers are of an image, each with its hosts. */
function usersOf(documents: readonly DocumentRow[], id: string): { service: string; hosts: string[] }[] {
  const users = new Map<string, string[]>();
  for (const { host, service, body } of documents)
    if (containers(body.resources).some(({ spec }) => spec.image.id === id))
      users.set(service, [...(users.get(service) ?? []), host]);
  return [...users].map(([service, hosts]) => ({ service, hosts }));
}

/**
 * Asks for images to be built anew with the packages of the day, by a run over those that build, keep or run them. No
 * names: all of them, from the base on.
 * @throws StackctlError `image_unknown`, and what a run's start throws; nothing is asked for then
 */
export function buildImages(
  { store, runs }: ImagesOptions,
  loaded: LoadedCloud,
  asked: readonly string[],
  by: string,
): ApiAnswer<"image-build"> {
  const { cloud } = loaded;
  const recipes = recipesOf(cloud, store.imageBuilds());
  const known = recipes.map(({ name }) => name);
  const unknown = asked.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new StackctlError("image_unknown", `there is no image ${unknown.join(", ")}`, {
      details: {
        expected: `one of ${known.join(", ")}`,
        found: unknown.join(", "),
        remedy: "stackctl image list",
      },
    });
  }
  const names = asked.length === 0 ? ["base"] : [...new Set(asked)];
  const affected = new Set(names);
  for (const { name, from } of recipes)
    if (from.kind === "set" && affected.has(from.name)) affected.add(name);
  const ids = new Set([...affected].map((name) => store.images().get(name)?.id));
  const hosts = cloud.hosts
    .filter(
      ({ name, role }) =>
        role === "controller" ||
        store
          .documents(name)
          .some(({ body }) => containers(body.resources).some(({ spec }) => ids.has(spec.image.id))),
    )
    .map(({ name }) => name);
  const text = `${asked.length === 0 ? "all images" : names.join(", ")} built anew, by ${by}`;
  return runs.start(hosts, loaded, { kind: "person", text }, by, [{ type: "image.build-asked", names }]);
}

/** What stays in every registry: what any host's documents name, and of each image the last one and the one before. */
export function keptImages(store: Store): PruneRequest["keep"] {
  const keep = new Map<string, PruneRequest["keep"][number]>();
  const add = (name: string, digest: string): void => {
    keep.set(`${name}@${digest}`, { name, digest });
  };
  for (const { host } of store.agents())
    for (const { body } of store.documents(host))
      for (const { spec } of containers(body.resources))
        if (spec.image.pull !== null) add(spec.image.pull.name, spec.image.pull.digest);
  const byName = Map.groupBy(store.imageHistory(), ({ name }) => name);
  for (const [name, rows] of byName) {
    // Recorded again after another one: it is as new as its last record.
    const digests = [
      ...new Set(rows.toReversed().flatMap(({ digest }) => (digest === null ? [] : [digest]))),
    ];
    for (const digest of digests.slice(0, 2)) add(name, digest);
  }
  return [...keep.values()];
}

/**
 * Has every host take away what no document names any more, all at once: nothing is stopped for it.
 * @throws StackctlError `server_busy` while a run may be making images
 */
export async function pruneImages(
  options: ImagesOptions,
  { cloud }: LoadedCloud,
  by: string,
): Promise<ImagePruned> {
  const { store, fleet, holds, questions, runs, authority } = options;
  if (runs.underWay()) {
    throw new StackctlError("server_busy", "a run is under way, which may need what is not named yet", {
      retryable: true,
      details: { remedy: "stackctl runs attach" },
    });
  }
  const keep = keptImages(store);
  const none = { removed: [], freedBytes: { docker: 0, registry: 0 } };
  const hosts = cloud.hosts.map(async ({ name: host, addresses }): Promise<ImagePruned["hosts"][number]> => {
    const held = holds.why(host, null) ?? holds.why(host, "registry") ?? holds.why(host, "docker");
    if (held !== null) return { host, outcome: "skipped", why: held, ...none };
    if (store.agent(host) === null || fleet.presence(host)?.state !== "ok")
      return { host, outcome: "skipped", why: `${host} is not there now`, ...none };
    const registry =
      cloud.registry === null && (store.document(host, "registry")?.body.resources.length ?? 0) > 0
        ? { name: registryName(cloud), address: addresses.management, ca: authority() }
        : null;
    try {
      const request: PruneRequest = { kind: "prune", registry, keep };
      const { removed, freedBytes, why } = pruneAnswer.parse(await questions.ask(host, request, pruneMs));
      const bytes = freedBytes.docker + freedBytes.registry;
      if (removed.length > 0 || bytes > 0)
        store.addEvent({
          at: new Date().toISOString(),
          host,
          service: "docker",
          resource: null,
          type: "images.pruned",
          text: `${String(removed.length)} images taken away, ${String(Math.round(bytes / 1e6))} MB freed; by ${by}`,
          run: null,
        });
      const outcome = why !== null ? "failed" : removed.length > 0 || bytes > 0 ? "changed" : "unchanged";
      return { host, outcome, why, removed, freedBytes };
    } catch (error) {
      if (!(error instanceof StackctlError)) throw error;
      return { host, outcome: "failed", why: error.message, ...none };
    }
  });
  return { hosts: await Promise.all(hosts) };
}

/**
 * Makes another controller's registry the one that is pushed to, once it holds every image; then a run tells everybody.
 * @throws StackctlError `registry_outside`, `host_unknown`, `controller_needed`, `held`, `agent_unreachable`,
 *   `image_unavailable` when it could not be completed; nothing is decided then
 */
export async function moveRegistry(
  options: ImagesOptions,
  loaded: LoadedCloud,
  host: string,
  by: string,
): Promise<ApiAnswer<"registry-move">> {
  const { cloud } = loaded;
  const { store, runs } = options;
  const from = registryPrimary(cloud, store);
  assertController(cloud, host);
  if (host === from) return { from, run: null };
  await assertComplete(options, loaded, host, by);
  const cause = { kind: "person", text: `registry moved from ${from} to ${host}, by ${by}` } as const;
  const run = runs.start("aio", loaded, cause, by, [{ type: "registry.moved", host }]);
  return { from, run };
}

function assertController(cloud: Cloud, host: string): void {
  if (cloud.registry !== null) {
    throw new StackctlError("registry_outside", `the registry is ${cloud.registry.name}, which is not ours`, {
      details: { remedy: "the controllers run one when cloud.yaml names no registry" },
    });
  }
  const controllers = cloud.hosts.filter(({ role }) => role === "controller").map(({ name }) => name);
  if (controllers.includes(host)) return;
  const known = cloud.hosts.some(({ name }) => name === host);
  throw new StackctlError(
    known ? "controller_needed" : "host_unknown",
    known ? `${host} is no controller` : `there is no host ${host}`,
    {
      details: {
        host,
        expected: `one of ${controllers.join(", ")}`,
        found: host,
        remedy: `stackctl registry move ${controllers.at(-1) ?? "HOST"}`,
      },
    },
  );
}

/** Has the host's registry completed, and proves it. */
async function assertComplete(
  { store, fleet, holds, planner, questions }: ImagesOptions,
  loaded: LoadedCloud,
  host: string,
  by: string,
): Promise<void> {
  const service = "registry-mirror";
  for (const each of [null, "registry", service]) {
    const held = holds.why(host, each);
    if (held !== null)
      throw new StackctlError("held", `${host} is ${held}`, {
        details: {
          host,
          remedy: `stackctl release ${holds.covering(host, each ?? "registry")?.target ?? host}`,
        },
      });
  }
  if (fleet.presence(host)?.state !== "ok") {
    throw new StackctlError("agent_unreachable", `${host} is not there now`, {
      retryable: true,
      details: { host, remedy: "stackctl status" },
    });
  }
  const wanted = loaded.cloud.hosts.find(({ name }) => name === host);
  const compiled = wanted === undefined ? null : planner.compile(loaded, wanted);
  const document = compiled?.documents.find((each) => each.service === service);
  const issued = store.document(host, service);
  const lacks = (why: string): StackctlError =>
    new StackctlError("image_unavailable", `the registry on ${host} does not hold all images: ${why}`, {
      retryable: true,
      details: { host, remedy: `stackctl apply ${host}` },
    });
  if (document === undefined || issued?.body.digest !== document.digest)
    throw lacks(compiled?.waiting.get(service) ?? "what it is to hold has changed since the last apply");
  const request = { kind: "repair", service, id: `${service}/images`, by } as const;
  const { outcome, why } = repairAnswer.parse(await questions.ask(host, request, mirrorMs));
  if (outcome === "skipped" || outcome === "failed") throw lacks(why ?? "it could not be completed");
}

function registryPrimary(cloud: Cloud, store: Store): string {
  return registryPrimaryOf(cloud, store.registryPrimary(), primaryOf(cloud, store.primary()));
}

function containers(resources: readonly Resource[]): Extract<Resource, { type: "container" }>[] {
  return resources.filter((resource) => resource.type === "container");
}
