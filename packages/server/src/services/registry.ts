import { ports, registryContainer, type Resource } from "@stackctl/protocol";
import { afterImages, builtOf, imageOf, recipesOf, userOf } from "./images.ts";
import { internalRegistry, registryName } from "./registry-name.ts";
import type { PlacedResource, ServiceDefinition } from "./service.ts";

/** The secret that holds the key of the registry's certificate. */
export const registryKeySecret = "registry-key";

const { data, configuration: inside } = registryContainer;
const configuration = "/etc/stackctl/registry";

/**
 * The registry of images, on every controller. The primary's is the one that is pushed to; its image is made there,
 * the others pull theirs from it.
 */
export const registryService: ServiceDefinition = {
  name: "registry",
  needs: ["docker", "base-images"],
  after: (host, context) => (host.name === context.registryPrimary ? [] : afterImages(host, context)),
  resources(host, context) {
    const { cloud, registryPrimary: primary, certificates } = context;
    if (host.role !== "controller" || !internalRegistry(cloud)) return null;
    const local = builtOf(context, "registry", true);
    const image =
      host.name !== primary
        ? imageOf(context, "registry")
        : local === null
          ? { waits: "image registry is not built yet" }
          : { id: local.id, pull: null };
    if ("waits" in image) return image;
    const address = host.addresses.management;
    const user = userOf("docker-registry");
    const [uid = ""] = user.split(":");
    const origin = ["hosts", host.name];
    const file = (
      name: string,
      content: Extract<Resource, { type: "file" }>["spec"]["content"],
    ): PlacedResource => ({
      resource: {
        type: "file",
        name: `registry-${name}`,
        spec: {
          path: `${configuration}/${name}`,
          content,
          owner: Number(uid),
          group: Number(uid),
          mode: "0400",
        },
      },
      origin,
    });
    return [
      {
        resource: {
          type: "directory",
          name: "registry-data",
          spec: { path: data, owner: Number(uid), group: Number(uid), mode: "0750", holdsData: true },
        },
        origin,
      },
      {
        resource: {
          type: "directory",
          name: "registry-configuration",
          spec: { path: configuration, owner: 0, group: 0, mode: "0755", holdsData: false },
        },
        origin,
      },
      file("config.yml", [{ text: registryConfiguration(address) }]),
      file("tls.crt", [{ text: certificates.registry }]),
      file("tls.key", [
        { secret: { secret: registryKeySecret, version: context.secretVersion(registryKeySecret) } },
      ]),
      {
        resource: {
          type: "container",
          name: registryContainer.name,
          spec: {
            image,
            command: ["docker-registry", "serve", inside],
            user,
            mounts: [
              { source: configuration, target: "/etc/docker/registry", readOnly: true },
              { source: data, target: "/var/lib/docker-registry", readOnly: false },
            ],
            tmpfs: [{ target: "/tmp", options: "mode=1777" }],
            capabilities: [],
            environment: {},
            configuration: ["config.yml", "tls.crt", "tls.key"].map((name) => `${configuration}/${name}`),
            requires: [],
            stopSeconds: 10,
            ready: { address, port: ports.registry, seconds: 30 },
            cluster: "registry",
          },
        },
        origin,
      },
    ];
  },
};

/** The other controllers' registries hold what the primary's holds. */
export const registryMirrorService: ServiceDefinition = {
  name: "registry-mirror",
  needs: ["registry"],
  after: afterImages,
  resources(host, context) {
    const { cloud, registryPrimary: primary } = context;
    if (host.role !== "controller" || host.name === primary || !internalRegistry(cloud)) return null;
    const images = recipesOf(cloud, context.imageBuilds).map((recipe) => {
      const built = context.images.get(recipe.name);
      return built?.recipe === recipe.digest && built.digest !== null
        ? { name: recipe.name, tag: recipe.digest, digest: built.digest }
        : recipe.name;
    });
    const missing = images.find((image) => typeof image === "string");
    if (missing !== undefined) return { waits: `image ${missing} is not built yet` };
    const controllers = cloud.hosts.filter(({ role, name }) => role === "controller" && name !== host.name);
    const first = controllers.toSorted((a, b) => Number(b.name === primary) - Number(a.name === primary));
    return [
      {
        resource: {
          type: "registry-mirror",
          name: "images",
          spec: {
            registry: registryName(cloud),
            ca: context.certificates.authority,
            own: host.addresses.management,
            from: first.map(({ addresses }) => addresses.management),
            images: images.filter((image) => typeof image !== "string"),
          },
        },
        origin: ["hosts", host.name],
      },
    ];
  },
};

/** docker-registry's configuration (distribution 2.8). JSON is YAML. */
function registryConfiguration(address: string): string {
  const configured = {
    version: "0.1",
    log: { level: "info", formatter: "json", accesslog: { disabled: true } },
    storage: {
      // No cache of what it has: it would go on saying that it has what a collection of garbage has taken away.
      filesystem: { rootdirectory: "/var/lib/docker-registry" },
      delete: { enabled: true },
      maintenance: { uploadpurging: { enabled: true, age: "24h", interval: "6h", dryrun: false } },
    },
    http: {
      addr: `${address}:${String(ports.registry)}`,
      // Only one registry ever answers for an upload, so what signs its state need not be shared.
      tls: {
        certificate: "/etc/docker/registry/tls.crt",
        key: "/etc/docker/registry/tls.key",
        minimumtls: "tls1.2",
      },
    },
  };
  return `${JSON.stringify(configured, null, 2)}\n`;
}
