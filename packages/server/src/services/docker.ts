import type { DockerEngineSpec } from "@stackctl/protocol";
import { networkNames } from "../config/model.ts";
import { directHosts, internalDomain, proxyResource } from "./host.ts";
import { internalRegistry, registryName } from "./registry-name.ts";
import type { CompileContext, ServiceDefinition } from "./service.ts";

/** dockerd on every host, trusting the registry of the cloud. */
export const dockerService: ServiceDefinition = {
  name: "docker",
  needs: ["host"],
  resources(host, context) {
    const { cloud } = context;
    const outside = cloud.registry;
    const ca = outside === null ? context.certificates.authority : outside.ca;
    const controls = host.role === "controller";
    const proxy = controls ? pullProxy(context) : null;
    return [
      {
        resource: {
          type: "docker-engine",
          name: "docker",
          spec: {
            trust: ca === null ? [] : [{ registry: outside?.name ?? registryName(cloud), ca }],
            ...(proxy === null ? {} : { proxy }),
            cluster: controls ? "docker" : null,
          },
        },
        origin: internalRegistry(cloud) ? ["hosts", host.name] : ["registry"],
      },
    ];
  },
};

/**
 * The proxy that dockerd pulls `images.base` through; null: nothing is pulled from outside. On every controller, also
 * those that build no images now: so nothing is restarted when the registry is moved.
 */
function pullProxy({ cloud, secretVersion }: CompileContext): NonNullable<DockerEngineSpec["proxy"]> | null {
  const proxy = cloud.images.base === null ? null : proxyResource(cloud, secretVersion);
  if (proxy === null) return null;
  const networks = networkNames.map((name) => cloud.networks[name].cidr);
  const direct = [...directHosts(cloud), `.${internalDomain(cloud)}`, ...networks];
  return { url: proxy.spec.url, login: proxy.spec.login, direct };
}
