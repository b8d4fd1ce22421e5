import { ports } from "@stackctl/protocol";
import { afterImages, imageOf, userOf } from "./images.ts";
import type { ServiceDefinition } from "./service.ts";

/** How much it keeps, in MiB. */
const megabytes = 64;

/** A cache on each controller, reached over the management network. */
export const memcachedService: ServiceDefinition = {
  name: "memcached",
  needs: ["docker", "registry", "registry-mirror"],
  after: afterImages,
  resources(host, context) {
    if (host.role !== "controller") return null;
    const image = imageOf(context, "memcached");
    if ("waits" in image) return image;
    const address = host.addresses.management;
    return [
      {
        resource: {
          type: "container",
          name: "memcached",
          spec: {
            image,
            // No UDP: it is known for amplification.
            command: [
              ...["memcached", "-l", address, "-p", String(ports.memcached), "-U", "0"],
              ...["-m", String(megabytes), "-c", "1024"],
            ],
            user: userOf("memcache"),
            mounts: [],
            tmpfs: [],
            capabilities: [],
            environment: {},
            configuration: [],
            requires: [],
            stopSeconds: 10,
            ready: { address, port: ports.memcached, seconds: 30 },
            cluster: "memcached",
          },
        },
        origin: ["hosts", host.name],
      },
    ];
  },
};
