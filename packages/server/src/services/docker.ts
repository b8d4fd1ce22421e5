import { internalRegistry, registryName } from "./registry-name.ts";
import type { ServiceDefinition } from "./service.ts";

/** dockerd on every host, trusting the registry of the cloud. */
export const dockerService: ServiceDefinition = {
  name: "docker",
  needs: ["host"],
  resources(host, context) {
    const { cloud } = context;
    const outside = cloud.registry;
    const ca = outside === null ? context.certificates.authority : outside.ca;
    return [
      {
        resource: {
          type: "docker-engine",
          name: "docker",
          spec: {
            trust: ca === null ? [] : [{ registry: outside?.name ?? registryName(cloud), ca }],
            cluster: host.role === "controller" ? "docker" : null,
          },
        },
        origin: internalRegistry(cloud) ? ["hosts", host.name] : ["registry"],
      },
    ];
  },
};
