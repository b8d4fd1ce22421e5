import { StackctlError, type RegistryMirrorSpec } from "@stackctl/protocol";
import type { Behaviour, Context } from "../engine/resource.ts";
import type { RegistryAt } from "../host/host.ts";

/** Keeps the images of the cloud in this host's own registry too, so that they are there when the first one is not. */
export const registryMirror: Behaviour<"registry-mirror"> = {
  async read({ host }, spec) {
    const own = at(spec, spec.own);
    const pairs = spec.images.map(
      async ({ name, tag }) =>
        [name, (await host.images.inRegistry(own, name, tag))?.digest ?? null] as const,
    );
    return Object.fromEntries(await Promise.all(pairs));
  },
  desired: ({ images }) => Object.fromEntries(images.map(({ name, digest }) => [name, digest])),
  async apply(context, spec, changes) {
    const missing = new Set(changes.map(({ field }) => field));
    const images = spec.images.filter(({ name }) => missing.has(name));
    for (const [index, image] of images.entries()) {
      context.doing(`copying ${image.name} (${String(index + 1)} of ${String(images.length)})`);
      await copy(context, spec, image);
    }
  },
  // What is in the registry is its data, and stays or goes with it.
  remove: () => Promise.resolve(),
  owns: () => [],
  restarts: () => [],
  disrupts: () => null,
  watch: () => ({}),
};

/** Copies an image from the first registry that has it. */
async function copy(
  { host }: Context,
  spec: RegistryMirrorSpec,
  { name, tag, digest }: RegistryMirrorSpec["images"][number],
): Promise<void> {
  const refused: string[] = [];
  for (const address of spec.from) {
    try {
      await host.images.copy(at(spec, address), at(spec, spec.own), name, tag, digest);
      return;
    } catch (error) {
      if (!(error instanceof StackctlError) || error.code === "disk_full") throw error;
      refused.push(error.message);
    }
  }
  throw new StackctlError("image_unavailable", `no registry gave ${name}: ${refused.join("; ")}`, {
    retryable: true,
    details: { remedy: "stackctl status" },
  });
}

function at({ registry, ca }: RegistryMirrorSpec, address: string): RegistryAt {
  return { name: registry, ca, address, login: null };
}
