import type { ServiceDefinition } from "./service.ts";

/** Time: controllers follow the servers of the file and serve the management network; the others follow the controllers. */
export const chronyService: ServiceDefinition = {
  name: "chrony",
  needs: ["host"],
  resources(host, { cloud }) {
    const serves = host.role === "controller";
    const controllers = cloud.hosts.filter((other) => other.role === "controller");
    return [
      {
        resource: {
          type: "chrony",
          name: "chrony",
          spec: {
            servers: serves
              ? [...cloud.time.servers]
              : controllers.map((other) => other.addresses.management),
            allow: serves ? [cloud.networks.management.cidr] : [],
            stepThresholdSeconds: 1,
          },
        },
        origin: serves ? ["time", "servers"] : ["hosts"],
      },
    ];
  },
};
