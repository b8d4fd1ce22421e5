import { defineConfig } from "tsup";

export default defineConfig({
  entry: { main: "packages/cli/src/main.ts" },
  outDir: "packages/cli/dist",
  format: "esm",
  platform: "node",
  target: "node26",
  // One file with everything in it: it starts quicker, and on a host there is nothing beside it.
  noExternal: [/.*/],
  // node:sqlite exists under that name only.
  removeNodeProtocol: false,
  splitting: false,
  clean: true,
  sourcemap: false,
  minify: false,
  silent: true,
  banner: {
    js: 'import { createRequire as __cr } from "node:module"; const require = __cr(import.meta.url);',
  },
});
