import pLimit from "p-limit";
import type { BuiltImage, ImageRecipe, ImageSetSpec } from "@stackctl/protocol";
import type { Behaviour, Context } from "../engine/resource.ts";
import type { BuildHow, RegistryAt } from "../host/host.ts";

/** Keeps images built of their recipes and pushed. One that is there under its recipe's digest is left as it is. */
export const imageSet: Behaviour<"image-set"> = {
  async read(context, spec) {
    const pairs = spec.images.map(async (recipe) => [
      recipe.name,
      (await built(context, spec, recipe))?.recipe ?? null,
    ]);
    return Object.fromEntries(await Promise.all(pairs)) as Record<string, string | null>;
  },
  desired: ({ images }) => Object.fromEntries(images.map(({ name, digest }) => [name, digest])),
  async apply(context, spec, changes) {
    const names = new Set(changes.map(({ field }) => field));
    const missing = new Set(spec.images.filter(({ name }) => names.has(name)));
    const limit = pLimit(context.host.images.parallel);
    const now = new Map<string, string>();
    const say = (name: string, text: string | null): void => {
      if (text === null) now.delete(name);
      else now.set(name, text);
      const open = `${String(missing.size)} of ${String(names.size)} to go`;
      context.doing(`${[...now.values()].join("; ")} (${open})`.slice(0, 300));
    };
    // What is built is from something that is there already; each round makes what has become possible.
    while (missing.size > 0) {
      const ready = [...missing].filter(
        ({ from }) => ![...missing].some(({ name }) => from.kind === "set" && from.name === name),
      );
      if (ready.length === 0) throw new Error("images that are from each other");
      await Promise.all(
        ready.map((recipe) =>
          limit(async () => {
            await make(context, spec, recipe, (text) => {
              say(recipe.name, text);
            });
            missing.delete(recipe);
            say(recipe.name, null);
          }),
        ),
      );
    }
  },
  async remove({ host }, { images }, _name, spared) {
    // In a registry they are its data; here they only take room.
    for (const recipe of images.toReversed()) {
      if (spared.has(owned(recipe))) continue;
      const id = await host.images.local(recipe);
      if (id !== null) await host.docker.removeUnused(id);
    }
  },
  owns: ({ images }) => images.map(owned),
  async outputs(context, spec) {
    const outputs: Record<string, string> = {};
    for (const recipe of spec.images) {
      const image = await built(context, spec, recipe);
      if (image !== null) outputs[recipe.name] = JSON.stringify(image);
    }
    return outputs;
  },
  restarts: () => [],
  disrupts: () => null,
  watch: () => ({}),
};

function owned({ name, digest }: ImageRecipe): string {
  return `image:${name}:${digest}`;
}

async function built(context: Context, spec: ImageSetSpec, recipe: ImageRecipe): Promise<BuiltImage | null> {
  const { images } = context.host;
  const registry = registryOf(context, spec.registry);
  if (registry === null) {
    const id = await images.local(recipe);
    return id === null ? null : { recipe: recipe.digest, id, digest: null };
  }
  const image = await images.inRegistry(registry, recipe.name, recipe.digest);
  return image === null ? null : { recipe: recipe.digest, ...image };
}

async function make(
  context: Context,
  spec: ImageSetSpec,
  recipe: ImageRecipe,
  doing: BuildHow["doing"],
): Promise<void> {
  const { images } = context.host;
  const registry = registryOf(context, spec.registry);
  const take = registryOf(context, spec.take ?? null);
  if (take !== null && (await images.local(recipe)) === null) {
    doing(`looking for ${recipe.name} in ${take.name}`);
    await images.take(recipe, take, doing);
  }
  if (registry !== null && (await images.local(recipe)) === null) {
    doing(`looking for ${recipe.name} in the cache`);
    if ((await images.fromCache(recipe, registry)) !== null) return;
  }
  if ((await images.local(recipe)) === null) {
    const { proxy } = spec;
    const login =
      proxy === null || proxy.login === null
        ? null
        : { user: proxy.login.user, password: context.reveal(proxy.login.password) };
    await images.build(recipe, {
      set: spec.images,
      registry,
      mirror: spec.mirror,
      proxy: proxy === null ? null : { url: proxy.url, login },
      doing,
    });
  }
  if (registry !== null) await images.push(recipe, registry, doing);
}

function registryOf({ reveal }: Context, registry: ImageSetSpec["registry"]): RegistryAt | null {
  if (registry === null) return null;
  const { name, ca, login } = registry;
  return {
    name,
    ca,
    address: null,
    login: login === null ? null : { user: login.user, password: reveal(login.password) },
  };
}
