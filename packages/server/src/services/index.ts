import { chronyService } from "./chrony.ts";
import { hostService } from "./host.ts";
import { rebootService } from "./reboot.ts";
import type { ServiceDefinition } from "./service.ts";

/** Every service, in an order in which each comes after what it needs. */
export const services: readonly ServiceDefinition[] = [hostService, chronyService, rebootService];
