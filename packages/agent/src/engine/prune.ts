import { errorData, type PruneAnswer, type PruneRequest, type Resource } from "@stackctl/protocol";
import type { Host, RegistryTag } from "../host/host.ts";

/** Of a recipe's digest, as much as every tag has. */
const tagChars = 32;

/** What the documents of a host name: none of it is ever taken away. */
interface Named {
  /** Ids of images that containers are made of. */
  readonly ids: ReadonlySet<string>;
  /** Beginnings of the digests of recipes that are to be here. */
  readonly recipes: ReadonlySet<string>;
  /** `name:tag` and `name@digest` in a registry. */
  readonly stored: ReadonlySet<string>;
}

/**
 * Takes away what no document names: images of ours in docker that nothing uses, and what the registry on this host has
 * of them. Nothing is stopped for it. Only this agent pushes to that registry, and it does one thing at a time, so no
 * upload is under way while its garbage is collected. Never throws: what could not be done is in the answer.
 * @param documents the resources of every document that the agent has
 */
export async function prune(
  { docker, images }: Pick<Host, "docker" | "images">,
  documents: readonly Resource[],
  { registry, keep }: Pick<PruneRequest, "registry" | "keep">,
): Promise<PruneAnswer> {
  const named = namedBy(documents, keep);
  const removed: string[] = [];
  const freedBytes = { docker: 0, registry: 0 };
  try {
    if (registry !== null) {
      const at = { ...registry, login: null };
      for (const { name, digest } of staleOf(await images.tags(at), named)) {
        await images.removeFromRegistry(at, name, digest);
        removed.push(`${name}@${digest}`);
      }
      freedBytes.registry = await images.collectGarbage();
    }
    const before = await docker.imageBytes();
    for (const { id, recipe, references } of await docker.ownImages()) {
      if (named.ids.has(id) || named.recipes.has(recipe.slice(0, tagChars))) continue;
      let gone = true;
      for (const reference of references.length === 0 ? [id] : references)
        gone = (await docker.forget(reference)) && gone;
      if (gone) removed.push(references[0] ?? id);
    }
    freedBytes.docker = Math.max(0, before - (await docker.imageBytes()));
    return { removed, freedBytes, why: null };
  } catch (error) {
    const { message, details } = errorData(error);
    const why = details.remedy === undefined ? message : `${message}; ${details.remedy}`;
    return { removed, freedBytes, why: why.slice(0, 2000) };
  }
}

function namedBy(documents: readonly Resource[], keep: PruneRequest["keep"]): Named {
  const ids = new Set<string>();
  const recipes = new Set<string>();
  const stored = new Set(keep.map(({ name, digest }) => `${name}@${digest}`));
  for (const { type, spec } of documents) {
    if (type === "container") {
      ids.add(spec.image.id);
      if (spec.image.pull !== null) stored.add(`${spec.image.pull.name}@${spec.image.pull.digest}`);
    }
    if (type === "image-set")
      for (const { name, digest } of spec.images) {
        recipes.add(digest.slice(0, tagChars));
        stored.add(`${name}:${digest}`);
      }
    if (type === "registry-mirror")
      for (const { name, tag, digest } of spec.images) {
        stored.add(`${name}:${tag}`);
        stored.add(`${name}@${digest}`);
      }
  }
  return { ids, recipes, stored };
}

/** Manifests none of whose tags is named; taking one away takes all its tags. */
function staleOf(tags: readonly RegistryTag[], { stored }: Named): { name: string; digest: string }[] {
  const manifests = Map.groupBy(tags, ({ name, digest }) => `${name}@${digest}`);
  return [...manifests]
    .filter(([manifest]) => !stored.has(manifest))
    .map(([, each]) => each)
    .filter((each) => each.every(({ name, tag }) => !stored.has(`${name}:${tag}`)))
    .flatMap(([first]) => (first === undefined ? [] : [{ name: first.name, digest: first.digest }]));
}
