import type { BuiltImage, GaleraFound, Resource } from "@stackctl/protocol";
import type { Cloud, CloudHost } from "../config/model.ts";
import type { Ring, RingName } from "../keys/rings.ts";

/** What a service may look at beside the cloud. All of it is data: compiling does no I/O. */
export interface CompileContext {
  readonly cloud: Cloud;
  /** The newest version of a secret; throws when there is none. */
  readonly secretVersion: (name: string) => number;
  /** The boot id that must be gone, of hosts that were ordered to reboot. */
  readonly rebootOrders: ReadonlyMap<string, string>;
  /** The controller on which things are made first; recorded at the first apply. */
  readonly primary: string;
  /** The controller whose registry is pushed to, and on which images are built: the primary, unless a person moved it. */
  readonly registryPrimary: string;
  /** The last image that was built, by name. */
  readonly images: ReadonlyMap<string, BuiltImage>;
  /** How often a person asked for an image to be built anew; none: never. */
  readonly imageBuilds: ReadonlyMap<string, number>;
  readonly galera: {
    /** The id of the databases' cluster; null: it was never founded. */
    readonly uuid: string | null;
    /** What data directories held when they were last looked at, of every enrolled host; null: it has not said. */
    readonly looks: ReadonlyMap<string, GaleraFound | null>;
  };
  /** The keys that keystones share. */
  readonly rings: ReadonlyMap<RingName, Ring>;
  /** Certificates, PEM: of the cloud's own authority, and of the registry, signed by it. */
  readonly certificates: { readonly authority: string; readonly registry: string };
}

/** What a service needs cannot be said yet: it waits for something that another host has to make first. */
export interface Waits {
  readonly waits: string;
}

/** A resource and the key of `cloud.yaml` that it follows from, for messages and causes. */
export interface PlacedResource {
  readonly resource: Resource;
  readonly origin: readonly string[];
}

/** One thing that the cloud needs on some hosts. Pure data and functions of data. */
export interface ServiceDefinition {
  readonly name: string;
  /** Services that come before it on the same host. */
  readonly needs: readonly string[];
  /** What it needs on this host; null: it has no part there. An empty list takes away what was there. */
  readonly resources: (host: CloudHost, context: CompileContext) => readonly PlacedResource[] | Waits | null;
  /** Steps of other hosts that are over before this one begins in a run; none: only this host's own. */
  readonly after?: (host: CloudHost, context: CompileContext) => readonly { service: string; host: string }[];
  /** Its API as keystone's catalog names it; none: it has no API. */
  readonly catalog?: CatalogEntry;
}

/** An API that everybody finds by keystone's catalog. */
export interface CatalogEntry {
  /** Such as `identity`: by it clients look for the API. */
  readonly type: string;
  readonly name: string;
  readonly port: number;
  /** What follows the port in its URL, such as `/v3`. */
  readonly path: string;
  /** Its own user in keystone, with the name of its password in the vault; null: it needs none. */
  readonly user: { readonly name: string; readonly secret: string } | null;
}

/** The controllers, the primary first: the order in which what is on all of them is begun. */
export function controllersOf({ cloud, primary }: Pick<CompileContext, "cloud" | "primary">): CloudHost[] {
  return cloud.hosts
    .filter(({ role }) => role === "controller")
    .toSorted((a, b) => Number(b.name === primary) - Number(a.name === primary));
}
