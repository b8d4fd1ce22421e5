import { defineConfig } from "tsup";

export default defineConfig({
  entry: { main: "packages/server/src/main.ts" },
  outDir: "packages/server/dist",
  format: "esm",
  platform: "node",
  target: "node26",
  // One file with everything in it starts quicker; ssh2 stays outside, for it looks for native helpers beside itself.
  noExternal: [/^(?!ssh2)/],
  external: ["ssh2"],
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
