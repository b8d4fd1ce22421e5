/** The direction of dependencies: protocol <- { agent, server, cli } <- tests. */
module.exports = {
  forbidden: [
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    {
      name: "protocol-knows-nobody",
      severity: "error",
      from: { path: "^packages/protocol/" },
      to: { path: "^packages/(agent|server|cli)/|^tests/" },
    },
    {
      name: "siblings-do-not-import-each-other",
      severity: "error",
      from: { path: "^packages/(agent|server|cli)/" },
      to: { path: "^packages/(agent|server|cli)/|^tests/", pathNot: "^packages/$1/" },
    },
    {
      name: "resources-touch-only-the-host-port",
      severity: "error",
      from: { path: "^packages/agent/src/resources/", pathNot: "\\.test\\.ts$" },
      to: {
        path: "^(node:)?(fs|child_process|net|os|http|https|tls|dgram)(/|$)|^packages/agent/src/host/(?!host\\.ts)",
      },
    },
    {
      name: "only-host-touches-the-system",
      severity: "error",
      from: { path: "^packages/agent/src/(engine|watch|trust|bus)/", pathNot: "\\.test\\.ts$" },
      to: { path: "^(node:)?child_process$" },
    },
    {
      name: "one-file-imports-nats",
      severity: "error",
      from: { path: "^packages/", pathNot: "^packages/(agent|server|cli)/src/bus/nats\\.ts$|\\.test\\.ts$" },
      to: { path: "@nats-io/(transport-node|jetstream)" },
    },
    {
      name: "no-test-code-in-product",
      severity: "error",
      from: { path: "^packages/[^/]+/src/", pathNot: "\\.test\\.ts$|/testing/" },
      to: { path: "\\.test\\.ts$|/testing/|vitest|fast-check" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default"],
      extensions: [".ts", ".js", ".json"],
    },
  },
};
