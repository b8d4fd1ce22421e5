import * as z from "zod/mini";
import { aptProxySpec } from "./apt-proxy.ts";
import { mirrorUrl } from "./apt-repository.ts";
import { imageName, registryLogin, sha256 } from "./container.ts";
import { registryName } from "./docker-engine.ts";

const packageName = z.string().check(z.regex(/^[a-z0-9][a-z0-9+.-]{1,99}$/));
const path = z.string().check(z.regex(/^\/[A-Za-z0-9._@+/-]{1,254}$/));

/** What an image is made of. The same recipe gives the same contents, but for the versions of Debian's packages. */
const imageRecipe = z.strictObject({
  name: imageName,
  /** Digest of this recipe and of those below it, see `recipeDigest`; also the image's tag in the registry. */
  digest: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  from: z.discriminatedUnion("kind", [
    /** Debian's minimal system, made here by debootstrap. */
    z.strictObject({ kind: z.literal("debootstrap"), suite: z.literal("bookworm") }),
    /** An image that somebody else made, such as `registry.example.org/debian:12`. */
    z.strictObject({
      kind: z.literal("image"),
      reference: z.string().check(z.regex(/^[a-z0-9][A-Za-z0-9._/:@-]{0,500}$/)),
    }),
    /** Another image of the same set. */
    z.strictObject({ kind: z.literal("set"), name: imageName }),
  ]),
  /** Users and groups of one name and number, made before the packages are installed, which then take them as they are. */
  users: z
    .array(
      z.strictObject({
        name: z.string().check(z.regex(/^[a-z_][a-z0-9_-]{0,31}$/)),
        id: z.int().check(z.minimum(200), z.maximum(59_999)),
        home: path,
      }),
    )
    .check(z.maxLength(20)),
  packages: z.array(packageName).check(z.maxLength(200)),
  /** Folders and files of a package that would be mistaken for data or configuration: taken out at last. */
  remove: z.array(path).check(z.maxLength(50)),
  /** How often somebody asked for it to be built anew, as with newer packages. */
  build: z.int().check(z.nonnegative()),
});
export type ImageRecipe = z.infer<typeof imageRecipe>;

/** A registry. */
const registryPlace = z.strictObject({
  name: registryName,
  /** PEM of the authority of its certificate; null: the system's. */
  ca: z.nullable(z.string().check(z.maxLength(16384))),
  login: z.nullable(registryLogin),
});

/**
 * Images built on this host, each after the one that it is from, as many at once as there are cores, and pushed.
 * What is there in the registry under its recipe's digest is neither built nor pushed again.
 */
export const imageSetSpec = z.strictObject({
  /** Where they are pushed to; null: they stay here. */
  registry: z.nullable(registryPlace),
  /**
   * Where one that is not here is taken from instead of made, when that has it: a controller that images are built on
   * from now on goes on with those of the former one. Left out: nowhere.
   */
  take: z.optional(registryPlace),
  /** Mirror for debootstrap; null: the first one of the host's own sources. */
  mirror: z.nullable(mirrorUrl),
  proxy: z.nullable(aptProxySpec),
  images: z.array(imageRecipe).check(z.minLength(1), z.maxLength(60)),
});
export type ImageSetSpec = z.infer<typeof imageSetSpec>;

/** What became of one image: an output of an image set, by its name, as JSON. */
export const builtImage = z.strictObject({
  recipe: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  id: sha256,
  /** Of its manifest in the registry; null: it is in none. */
  digest: z.nullable(sha256),
  /** Of its parts in the registry. */
  sizeBytes: z.optional(z.int().check(z.nonnegative())),
});
export type BuiltImage = z.infer<typeof builtImage>;
