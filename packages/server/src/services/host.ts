import type { Resource } from "@stackctl/protocol";
import { proxyPasswordSecret, type Cloud, type CloudHost } from "../config/model.ts";
import type { PlacedResource, ServiceDefinition } from "./service.ts";

/** Name, `/etc/hosts` of the whole cloud, and where packages come from. */
export const hostService: ServiceDefinition = {
  name: "host",
  needs: [],
  resources(host, { cloud, registryPrimary, secretVersion }) {
    const resources: PlacedResource[] = [
      {
        resource: { type: "hostname", name: "hostname", spec: { hostname: host.name } },
        origin: ["hosts", host.name],
      },
      {
        resource: {
          type: "hosts-file",
          name: "hosts",
          spec: { entries: hostsEntries(cloud, registryPrimary) },
        },
        origin: ["hosts"],
      },
    ];
    const { mirror, securityMirror } = cloud.packages;
    if (mirror !== null) {
      resources.push({
        resource: { type: "apt-repository", name: "debian", spec: { mirror, securityMirror } },
        origin: ["packages", "mirror"],
      });
    }
    const proxy = proxyResource(cloud, secretVersion);
    if (proxy !== null) resources.push({ resource: proxy, origin: ["packages", "proxy"] });
    return resources;
  },
};

/** The package proxy as the file names it, with its password by reference; null: none. */
export function proxyResource(
  cloud: Cloud,
  secretVersion: (name: string) => number,
): Extract<Resource, { type: "apt-proxy" }> | null {
  const { proxy, proxyUser } = cloud.packages;
  if (proxy === null) return null;
  const password = proxyPasswordSecret;
  const login =
    proxyUser === null
      ? null
      : { user: proxyUser, password: { secret: password, version: secretVersion(password) } };
  return { type: "apt-proxy", name: "proxy", spec: { url: proxy, login, direct: [...directHosts(cloud)] } };
}

/** The cloud's domain: `<cloud>.internal`, kept free for private use (RFC 9476 for the idea, ICANN's reservation of .internal). */
export function internalDomain(cloud: Cloud): string {
  return `${cloud.name}.internal`;
}

/** The name of the registry on the controllers, that its certificate is for. */
export function registryHost(cloud: Cloud): string {
  return `registry.${internalDomain(cloud)}`;
}

function hostsEntries(cloud: Cloud, primary: string): { address: string; names: string[] }[] {
  const hosts = cloud.hosts.map((host: CloudHost) => ({
    address: host.addresses.management,
    names: [`${host.name}.${internalDomain(cloud)}`, host.name],
  }));
  if (cloud.registry !== null) return hosts;
  // One name for all registries, the primary's first: who asks for it goes to the next address when one is silent.
  const registries = cloud.hosts
    .filter(({ role }) => role === "controller")
    .toSorted((a, b) => Number(b.name === primary) - Number(a.name === primary))
    .map(({ addresses }) => ({ address: addresses.management, names: [registryHost(cloud)] }));
  return [...hosts, ...registries];
}

/** What the proxy must not be asked for: the cloud's own hosts and VIPs, its registry, and what the file adds. */
export function directHosts(cloud: Cloud): ReadonlySet<string> {
  return new Set([
    "127.0.0.1",
    "localhost",
    ...cloud.hosts.flatMap((host) => [host.addresses.management, host.name]),
    cloud.vip.management,
    cloud.vip.public,
    cloud.registry === null ? registryHost(cloud) : (cloud.registry.name.split(":")[0] ?? ""),
    ...cloud.packages.noProxy,
  ]);
}
