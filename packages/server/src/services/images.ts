import { createHash } from "node:crypto";
import {
  canonicalJson,
  type BuiltImage,
  type ContainerSpec,
  type ImageRecipe,
  type ImageSetSpec,
} from "@stackctl/protocol";
import type { Cloud } from "../config/model.ts";
import { proxyResource } from "./host.ts";
import { internalRegistry, registryAt, registryName } from "./registry-name.ts";
import type { CompileContext, PlacedResource, ServiceDefinition, Waits } from "./service.ts";

/**
 * Users of the services, with numbers that are the same in every image and on every host: what is on a host's disk
 * keeps its owner whatever image is started. From the middle of Debian's system range, which packages fill from its ends.
 */
export const serviceUsers = {
  "docker-registry": { id: 701, home: "/var/lib/docker-registry" },
  memcache: { id: 702, home: "/nonexistent" },
  mysql: { id: 703, home: "/nonexistent" },
  rabbitmq: { id: 704, home: "/var/lib/rabbitmq" },
  haproxy: { id: 705, home: "/var/lib/haproxy" },
  keystone: { id: 706, home: "/var/lib/keystone" },
} as const;
export type ServiceUser = keyof typeof serviceUsers;

/** `uid:gid` of a service's user. */
export function userOf(name: ServiceUser): string {
  const id = String(serviceUsers[name].id);
  return `${id}:${id}`;
}

/** Names of the images, each of Debian's packages on the one base. */
export type ImageName =
  "base" | "registry" | "mariadb" | "rabbitmq" | "memcached" | "haproxy" | "keepalived" | "keystone";

/** What an image is made of, beside its base. */
interface ImageDefinition {
  readonly name: ImageName;
  readonly users: readonly ServiceUser[];
  readonly packages: readonly string[];
  /** What a package brings that would be mistaken for data or is a secret made at the build. */
  readonly remove?: readonly string[];
}

const definitions: readonly ImageDefinition[] = [
  {
    name: "registry",
    users: ["docker-registry"],
    packages: ["docker-registry"],
    remove: ["/var/lib/docker-registry"],
  },
  { name: "memcached", users: ["memcache"], packages: ["memcached"] },
  {
    name: "mariadb",
    users: ["mysql"],
    packages: ["mariadb-server", "mariadb-backup", "galera-4", "socat", "lsof", "rsync"],
    remove: ["/var/lib/mysql"],
  },
  { name: "rabbitmq", users: ["rabbitmq"], packages: ["rabbitmq-server"], remove: ["/var/lib/rabbitmq"] },
  { name: "haproxy", users: ["haproxy"], packages: ["haproxy"] },
  { name: "keepalived", users: [], packages: ["keepalived"] },
  {
    name: "keystone",
    users: ["keystone"],
    packages: ["keystone", "uwsgi-core", "uwsgi-plugin-python3", "python3-pymysql", "python3-memcache"],
    remove: ["/var/lib/keystone"],
  },
];

/** Every image's recipe, the base first. Pure. */
export function recipesOf(cloud: Cloud, builds: CompileContext["imageBuilds"]): ImageRecipe[] {
  const { base } = cloud.images;
  const from: ImageRecipe["from"] =
    base === null ? { kind: "debootstrap", suite: "bookworm" } : { kind: "image", reference: base };
  const made = (recipe: Omit<ImageRecipe, "digest" | "build">, below: string): ImageRecipe => {
    const build = builds.get(recipe.name) ?? 0;
    const digest = createHash("sha256")
      .update(canonicalJson([recipe, build, below]))
      .digest("hex");
    return { ...recipe, build, digest };
  };
  const first = made({ name: "base", from, users: [], packages: [], remove: [] }, "");
  return [
    first,
    ...definitions.map(({ name, users, packages, remove = [] }) =>
      made(
        {
          name,
          from: { kind: "set", name: "base" },
          users: users.map((user) => ({ name: user, ...serviceUsers[user] })),
          packages: [...packages],
          remove: [...remove],
        },
        first.digest,
      ),
    ),
  ];
}

/** The image of a service as a container names it; waits when it is not built yet, or no more of this recipe. */
export function imageOf(context: CompileContext, name: ImageName): ContainerSpec["image"] | Waits {
  const built = builtOf(context, name);
  if (built?.digest === undefined || built.digest === null)
    return { waits: `image ${name} is not built yet` };
  const registry = context.cloud.registry;
  return {
    id: built.id,
    pull: {
      registry: registry?.name ?? registryName(context.cloud),
      name,
      digest: built.digest,
      login: registryAt(context).login,
    },
  };
}

/** The set of images that stay where they are built: the registry there runs on what it made, not on what it holds. */
export const localSet = "base";

/** What an image of {@link localSet} is recorded as. */
export function localImage(name: string): string {
  return `local-${name}`;
}

/** What was built of the recipe that the cloud asks for now; `local`: for the registry of the host that builds. */
export function builtOf(context: CompileContext, name: ImageName, local = false): BuiltImage | null {
  const recipe = recipesOf(context.cloud, context.imageBuilds).find((each) => each.name === name);
  const built = context.images.get(local ? localImage(name) : name);
  return built !== undefined && built.recipe === recipe?.digest ? built : null;
}

/** The step in which all images are there: whatever runs on one of them comes after it. */
export const afterImages: NonNullable<ServiceDefinition["after"]> = (_host, { registryPrimary }) => [
  { service: "images", host: registryPrimary },
];

/** The images that the registry itself needs, before there is one to push to. Where images are built. */
export const baseImagesService: ServiceDefinition = {
  name: "base-images",
  needs: ["docker"],
  resources(host, context) {
    if (host.name !== context.registryPrimary || !internalRegistry(context.cloud)) return null;
    return imageSet(context, localSet, { registry: null, take: registryAt(context) }, ["base", "registry"]);
  },
};

/** All images, built on one controller and pushed to the registry. */
export const imagesService: ServiceDefinition = {
  name: "images",
  needs: ["docker", "registry"],
  resources(host, context) {
    if (host.name !== context.registryPrimary) return null;
    return imageSet(context, "images", { registry: registryAt(context) }, null);
  },
};

function imageSet(
  context: CompileContext,
  name: string,
  place: Pick<ImageSetSpec, "registry" | "take">,
  only: readonly ImageName[] | null,
): PlacedResource[] {
  const { cloud } = context;
  const recipes = recipesOf(cloud, context.imageBuilds);
  return [
    ...(cloud.images.base === null
      ? [
          {
            resource: { type: "package", name: `${name}-tools`, spec: { packages: ["debootstrap"] } },
            origin: ["images"],
          } satisfies PlacedResource,
        ]
      : []),
    {
      resource: {
        type: "image-set",
        name,
        spec: {
          ...place,
          mirror: cloud.packages.mirror,
          proxy: proxyResource(cloud, context.secretVersion)?.spec ?? null,
          images: recipes.filter((recipe) => only === null || only.some((each) => each === recipe.name)),
        },
      },
      origin: ["images"],
    },
  ];
}
