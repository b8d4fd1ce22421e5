import { defineConfig, type Options } from "tsup";
import { unused } from "./scripts/unused.ts";

const common: Options = {
  platform: "node",
  target: "node26",
  // node:sqlite exists under that name only.
  removeNodeProtocol: false,
  splitting: false,
  clean: true,
  silent: true,
};
const esm: Options = {
  ...common,
  format: "esm",
  // What was written for CommonJS asks for `require` when it is bundled as a module.
  banner: {
    js: 'import { createRequire as __cr } from "node:module"; const require = __cr(import.meta.url);',
  },
};

/** Three bundles, each one file with everything in it: it starts quicker, and on a host there is nothing beside it. */
export default defineConfig([
  {
    ...common,
    format: "cjs",
    entry: { agent: "packages/agent/src/main.ts" },
    outDir: "packages/agent/dist",
    outExtension: () => ({ js: ".cjs" }),
    noExternal: [/.*/],
    esbuildPlugins: [unused],
  },
  {
    ...esm,
    entry: { main: "packages/server/src/main.ts" },
    outDir: "packages/server/dist",
    // ssh2 stays outside: it looks for native helpers beside itself.
    noExternal: [/^(?!ssh2)/],
    external: ["ssh2"],
  },
  { ...esm, entry: { main: "packages/cli/src/main.ts" }, outDir: "packages/cli/dist", noExternal: [/.*/] },
]);
