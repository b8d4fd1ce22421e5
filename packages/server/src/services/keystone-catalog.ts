import { ports } from "@stackctl/protocol";
import { imageOf } from "./images.ts";
import { keystoneSecrets, region } from "./keystone.ts";
import { endpointUrls } from "./places.ts";
import type { ServiceDefinition } from "./service.ts";

/** The project in which the users of services have their roles. */
export const serviceProject = "service";

/**
 * What keystone tells everybody, by the API of the primary's keystone.
 * @param all every service; asked when it is compiled, for it is one of them itself
 */
export function keystoneCatalogService(all: () => readonly ServiceDefinition[]): ServiceDefinition {
  return {
    name: "keystone-catalog",
    needs: ["keystone"],
    resources(host, context) {
      if (host.name !== context.primary) return null;
      const image = imageOf(context, "keystone");
      if ("waits" in image) return image;
      const ref = (secret: string): { secret: string; version: number } => ({
        secret,
        version: context.secretVersion(secret),
      });
      return [
        {
          resource: {
            type: "keystone-catalog",
            name: "catalog",
            spec: {
              url: `http://${host.addresses.management}:${String(ports.keystone)}/v3`,
              password: ref(keystoneSecrets.admin),
              region,
              project: serviceProject,
              services: all().flatMap(({ catalog }) =>
                catalog === undefined
                  ? []
                  : [
                      {
                        type: catalog.type,
                        name: catalog.name,
                        endpoints: endpointUrls(context, catalog),
                        user:
                          catalog.user === null
                            ? null
                            : { name: catalog.user.name, password: ref(catalog.user.secret) },
                      },
                    ],
              ),
            },
          },
          origin: ["hosts", host.name],
        },
      ];
    },
  };
}
