import type { Options } from "tsup";

/**
 * Of the docker client only its HTTP over the host's socket is used: what it has for ssh and build sessions stays out of
 * what runs on a host. Of the database's client only UTF-8 is, which Node has itself: the tables of all others stay out too.
 */
export const unused: NonNullable<Options["esbuildPlugins"]>[number] = {
  name: "unused",
  setup(build) {
    build.onResolve({ filter: /^(ssh2|@grpc\/.*|protobufjs|iconv-lite)$/ }, ({ path }) => ({
      path,
      namespace: "unused",
    }));
    build.onLoad({ filter: /.*/, namespace: "unused" }, () => ({ contents: "module.exports = {};" }));
  },
};
