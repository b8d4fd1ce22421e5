import type { ResourceType } from "@stackctl/protocol";
import type { Behaviour } from "../engine/resource.ts";
import { aptProxy } from "./apt-proxy.ts";
import { aptRepository } from "./apt-repository.ts";
import { chrony } from "./chrony.ts";
import { containerJob } from "./container-job.ts";
import { container } from "./container.ts";
import { directory } from "./directory.ts";
import { dockerEngine } from "./docker-engine.ts";
import { file } from "./file.ts";
import { galeraData } from "./galera-data.ts";
import { galeraMember } from "./galera-member.ts";
import { hostname } from "./hostname.ts";
import { hostsFile } from "./hosts-file.ts";
import { imageSet } from "./image-set.ts";
import { keyRing } from "./key-ring.ts";
import { keystoneBootstrap } from "./keystone-bootstrap.ts";
import { keystoneCatalog } from "./keystone-catalog.ts";
import { mysqlDatabase } from "./mysql-database.ts";
import { mysqlUser } from "./mysql-user.ts";
import { packages } from "./package.ts";
import { reboot } from "./reboot.ts";
import { registryMirror } from "./registry-mirror.ts";
import { sysctl } from "./sysctl.ts";
import { systemdUnit } from "./systemd-unit.ts";
import { user } from "./user.ts";

/** How each type of resource is made true; a type without a behaviour does not compile. */
export const behaviours = {
  "apt-proxy": aptProxy,
  "apt-repository": aptRepository,
  chrony,
  container,
  "container-job": containerJob,
  directory,
  "docker-engine": dockerEngine,
  file,
  "galera-data": galeraData,
  "galera-member": galeraMember,
  hostname,
  "hosts-file": hostsFile,
  "image-set": imageSet,
  "key-ring": keyRing,
  "keystone-bootstrap": keystoneBootstrap,
  "keystone-catalog": keystoneCatalog,
  "mysql-database": mysqlDatabase,
  "mysql-user": mysqlUser,
  package: packages,
  reboot,
  "registry-mirror": registryMirror,
  sysctl,
  "systemd-unit": systemdUnit,
  user,
} satisfies { readonly [T in ResourceType]: Behaviour<T> };
