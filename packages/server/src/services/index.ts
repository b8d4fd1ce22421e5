import { chronyService } from "./chrony.ts";
import { dockerService } from "./docker.ts";
import { hostService } from "./host.ts";
import { baseImagesService, imagesService } from "./images.ts";
import { keystoneCatalogService } from "./keystone-catalog.ts";
import { keystoneKeysService, keystoneService } from "./keystone.ts";
import { mariadbDataService, mariadbService } from "./mariadb.ts";
import { memcachedService } from "./memcached.ts";
import { rebootService } from "./reboot.ts";
import { registryMirrorService, registryService } from "./registry.ts";
import type { ServiceDefinition } from "./service.ts";

/** Every service, in an order in which each comes after what it needs. */
export const services: readonly ServiceDefinition[] = [
  hostService,
  chronyService,
  dockerService,
  rebootService,
  mariadbDataService,
  baseImagesService,
  registryService,
  imagesService,
  registryMirrorService,
  memcachedService,
  mariadbService,
  keystoneKeysService,
  keystoneService,
  keystoneCatalogService(() => services),
];

/** Services that come before this one on the same host; of one that is not known, none. */
export function needsOf(service: string): readonly string[] {
  return services.find(({ name }) => name === service)?.needs ?? [];
}
