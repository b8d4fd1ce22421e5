import type { ResourceType } from "@stackctl/protocol";
import type { Behaviour } from "../engine/resource.ts";
import { aptProxy } from "./apt-proxy.ts";
import { aptRepository } from "./apt-repository.ts";
import { chrony } from "./chrony.ts";
import { hostname } from "./hostname.ts";
import { hostsFile } from "./hosts-file.ts";
import { packages } from "./package.ts";
import { reboot } from "./reboot.ts";

/** How each type of resource is made true; a type without a behaviour does not compile. */
export const behaviours = {
  "apt-proxy": aptProxy,
  "apt-repository": aptRepository,
  chrony,
  hostname,
  "hosts-file": hostsFile,
  package: packages,
  reboot,
} satisfies { readonly [T in ResourceType]: Behaviour<T> };
