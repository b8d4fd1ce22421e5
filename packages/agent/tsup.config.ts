import { defineConfig } from "tsup";

export default defineConfig({
  entry: { agent: "packages/agent/src/main.ts" },
  outDir: "packages/agent/dist",
  format: "cjs",
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

  outExtension: () => ({ js: ".cjs" }),
});
