import * as z from "zod/mini";
import { resourceName } from "../names.ts";
import { aptProxySpec } from "./apt-proxy.ts";
import { aptRepositorySpec } from "./apt-repository.ts";
import { chronySpec } from "./chrony.ts";
import { containerJobSpec } from "./container-job.ts";
import { containerSpec } from "./container.ts";
import { directorySpec } from "./directory.ts";
import { dockerEngineSpec } from "./docker-engine.ts";
import { fileSpec } from "./file.ts";
import { galeraDataSpec } from "./galera-data.ts";
import { galeraMemberSpec } from "./galera-member.ts";
import { hostnameSpec } from "./hostname.ts";
import { hostsFileSpec } from "./hosts-file.ts";
import { imageSetSpec } from "./image-set.ts";
import { keyRingSpec } from "./key-ring.ts";
import { keystoneBootstrapSpec } from "./keystone-bootstrap.ts";
import { keystoneCatalogSpec } from "./keystone-catalog.ts";
import { mysqlDatabaseSpec } from "./mysql-database.ts";
import { mysqlUserSpec } from "./mysql-user.ts";
import { packageSpec } from "./package.ts";
import { rebootSpec } from "./reboot.ts";
import { registryMirrorSpec } from "./registry-mirror.ts";
import { sysctlSpec } from "./sysctl.ts";
import { systemdUnitSpec } from "./systemd-unit.ts";
import { userSpec } from "./user.ts";

export type { AptProxySpec } from "./apt-proxy.ts";
export type { AptRepositorySpec } from "./apt-repository.ts";
export type { ChronySpec } from "./chrony.ts";
export { containerUnit, registryContainer, type ContainerSpec, type RegistryLogin } from "./container.ts";
export type { ContainerJobSpec } from "./container-job.ts";
export type { DirectorySpec } from "./directory.ts";
export type { DockerEngineSpec } from "./docker-engine.ts";
export type { FileSpec } from "./file.ts";
export {
  galeraFound,
  galeraMarks,
  galeraUuid,
  type GaleraDataSpec,
  type GaleraFound,
} from "./galera-data.ts";
export type { GaleraMemberSpec } from "./galera-member.ts";
export type { HostnameSpec } from "./hostname.ts";
export type { HostsFileSpec } from "./hosts-file.ts";
export { builtImage, type BuiltImage, type ImageRecipe, type ImageSetSpec } from "./image-set.ts";
export type { KeyRingSpec } from "./key-ring.ts";
export type { KeystoneBootstrapSpec } from "./keystone-bootstrap.ts";
export type { KeystoneCatalogSpec } from "./keystone-catalog.ts";
export type { MysqlDatabaseSpec } from "./mysql-database.ts";
export type { MysqlUserSpec } from "./mysql-user.ts";
export type { PackageSpec } from "./package.ts";
export type { RebootSpec } from "./reboot.ts";
export type { RegistryMirrorSpec } from "./registry-mirror.ts";
export type { SysctlSpec } from "./sysctl.ts";
export type { SystemdUnitSpec } from "./systemd-unit.ts";
export type { UserSpec } from "./user.ts";

/** Every resource type and the form of its desired state. A type without a behaviour in the agent does not compile. */
export const resourceSpecs = {
  "apt-proxy": aptProxySpec,
  "apt-repository": aptRepositorySpec,
  chrony: chronySpec,
  container: containerSpec,
  "container-job": containerJobSpec,
  directory: directorySpec,
  "docker-engine": dockerEngineSpec,
  file: fileSpec,
  "galera-data": galeraDataSpec,
  "galera-member": galeraMemberSpec,
  hostname: hostnameSpec,
  "hosts-file": hostsFileSpec,
  "image-set": imageSetSpec,
  "key-ring": keyRingSpec,
  "keystone-bootstrap": keystoneBootstrapSpec,
  "keystone-catalog": keystoneCatalogSpec,
  "mysql-database": mysqlDatabaseSpec,
  "mysql-user": mysqlUserSpec,
  package: packageSpec,
  reboot: rebootSpec,
  "registry-mirror": registryMirrorSpec,
  sysctl: sysctlSpec,
  "systemd-unit": systemdUnitSpec,
  user: userSpec,
} as const;

export type ResourceType = keyof typeof resourceSpecs;
/** The desired state of a resource of type T. */
export type SpecOf<T extends ResourceType> = z.infer<(typeof resourceSpecs)[T]>;

/** One managed thing on one host. */
export const resourceSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("apt-proxy"), name: resourceName, spec: aptProxySpec }),
  z.strictObject({ type: z.literal("apt-repository"), name: resourceName, spec: aptRepositorySpec }),
  z.strictObject({ type: z.literal("chrony"), name: resourceName, spec: chronySpec }),
  z.strictObject({ type: z.literal("container"), name: resourceName, spec: containerSpec }),
  z.strictObject({ type: z.literal("container-job"), name: resourceName, spec: containerJobSpec }),
  z.strictObject({ type: z.literal("directory"), name: resourceName, spec: directorySpec }),
  z.strictObject({ type: z.literal("file"), name: resourceName, spec: fileSpec }),
  z.strictObject({ type: z.literal("docker-engine"), name: resourceName, spec: dockerEngineSpec }),
  z.strictObject({ type: z.literal("galera-data"), name: resourceName, spec: galeraDataSpec }),
  z.strictObject({ type: z.literal("galera-member"), name: resourceName, spec: galeraMemberSpec }),
  z.strictObject({ type: z.literal("hostname"), name: resourceName, spec: hostnameSpec }),
  z.strictObject({ type: z.literal("hosts-file"), name: resourceName, spec: hostsFileSpec }),
  z.strictObject({ type: z.literal("image-set"), name: resourceName, spec: imageSetSpec }),
  z.strictObject({ type: z.literal("key-ring"), name: resourceName, spec: keyRingSpec }),
  z.strictObject({ type: z.literal("keystone-bootstrap"), name: resourceName, spec: keystoneBootstrapSpec }),
  z.strictObject({ type: z.literal("keystone-catalog"), name: resourceName, spec: keystoneCatalogSpec }),
  z.strictObject({ type: z.literal("mysql-database"), name: resourceName, spec: mysqlDatabaseSpec }),
  z.strictObject({ type: z.literal("mysql-user"), name: resourceName, spec: mysqlUserSpec }),
  z.strictObject({ type: z.literal("package"), name: resourceName, spec: packageSpec }),
  z.strictObject({ type: z.literal("reboot"), name: resourceName, spec: rebootSpec }),
  z.strictObject({ type: z.literal("registry-mirror"), name: resourceName, spec: registryMirrorSpec }),
  z.strictObject({ type: z.literal("sysctl"), name: resourceName, spec: sysctlSpec }),
  z.strictObject({ type: z.literal("systemd-unit"), name: resourceName, spec: systemdUnitSpec }),
  z.strictObject({ type: z.literal("user"), name: resourceName, spec: userSpec }),
]);
export type Resource = z.infer<typeof resourceSchema>;

/** The cluster that a resource is a member's part of, such as `docker`; null: it is part of none. */
export function clusterOf(resource: Resource): string | null {
  const spec: object = resource.spec;
  return "cluster" in spec && typeof spec.cluster === "string" ? spec.cluster : null;
}

/** A resource's id within its host, such as `chrony/chrony`. */
export function resourceId(resource: { readonly type: string; readonly name: string }): string {
  return `${resource.type}/${resource.name}`;
}
