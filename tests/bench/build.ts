import { cpSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { build, type Options } from "tsup";
import configuration from "../../tsup.config.ts";
import { root } from "../stack.ts";

const servicesOfBench = join(import.meta.dirname, "services.ts");

/** In the place of the server's list of services comes the bench's. */
const withOurServices: NonNullable<Options["esbuildPlugins"]>[number] = {
  name: "services-of-bench",
  setup(bundle) {
    bundle.onResolve({ filter: /\/index\.ts$/ }, ({ path, resolveDir }) =>
      join(resolveDir, path) === join(root, "packages/server/src/services/index.ts")
        ? { path: servicesOfBench }
        : undefined,
    );
  },
};

/**
 * Makes launcher and bundles below a folder, each where the product has it: launcher, command line and agent are the product's
 * own files, byte for byte, and of the server only the list of services is another one. So what is measured is `stackctl apply` as
 * an operator runs it, from the start of its process to its end, and no option of the product exists for the bench's sake.
 * @returns the command line
 */
export async function buildWithWork(folder: string): Promise<readonly string[]> {
  for (const [name, bundle] of [
    ["cli", "main.js"],
    ["agent", "agent.cjs"],
  ] as const)
    cpSync(join(root, "packages", name, "dist", bundle), join(folder, "packages", name, "dist", bundle));
  cpSync(join(root, "stackctl"), join(folder, "stackctl"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const server = join(folder, "packages/server");
  mkdirSync(server, { recursive: true });
  // What its bundle leaves outside is found from where it lies.
  symlinkSync(join(root, "packages/server/node_modules"), join(server, "node_modules"));
  const bundles = Array.isArray(configuration) ? configuration : [];
  const product = bundles.find((each) => each.outDir === "packages/server/dist");
  if (product === undefined) throw new Error("the server is not built by tsup.config.ts");
  await build({
    ...product,
    config: false,
    outDir: join(server, "dist"),
    clean: false,
    esbuildPlugins: [...(product.esbuildPlugins ?? []), withOurServices],
  });
  return [join(folder, "stackctl")];
}
