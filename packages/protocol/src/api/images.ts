import * as z from "zod/mini";
import { hostName, serviceName } from "../names.ts";

const count = z.int().check(z.nonnegative());
const instant = z.iso.datetime();
const by = z.string().check(z.maxLength(64));

/** `image list --json` prints exactly this. */
export const imageList = z.strictObject({
  /** Where images are pulled from. */
  registry: z.strictObject({
    name: z.string(),
    /** The controller whose registry is pushed to, and on which images are built; with an outside registry only the latter. */
    primary: hostName,
    outside: z.boolean(),
  }),
  images: z.array(
    z.strictObject({
      name: z.string(),
      /** Digest of what it is to be made of. */
      recipe: z.string(),
      /** `outdated`: the last one was built of another recipe, or a newer build was asked for. */
      state: z.enum(["built", "outdated", "missing"]),
      /** When the last one was recorded. */
      builtAt: z.nullable(instant),
      /** Id of its configuration, which is its id for docker. */
      id: z.nullable(z.string()),
      /** Of its manifest in the registry. */
      digest: z.nullable(z.string()),
      /** Of its compressed layers, with those that it shares with others. */
      sizeBytes: z.nullable(count),
      /** Hosts whose registries hold it, the primary first, as far as they have said so. */
      registries: z.array(hostName),
      /** What runs on it. */
      usedBy: z.array(z.strictObject({ service: serviceName, hosts: z.array(hostName) })),
    }),
  ),
});
export type ImageList = z.infer<typeof imageList>;

/** What became of pruning on each host; `image prune --json` prints exactly this. */
export const imagePruned = z.strictObject({
  hosts: z.array(
    z.strictObject({
      host: hostName,
      outcome: z.enum(["changed", "unchanged", "skipped", "failed"]),
      why: z.nullable(z.string()),
      removed: z.array(z.string()),
      freedBytes: z.strictObject({ docker: z.number(), registry: z.number() }),
    }),
  ),
});
export type ImagePruned = z.infer<typeof imagePruned>;

const started = z.strictObject({ runId: count, joined: z.boolean() });

/** Calls about images and the registry; see `apiMethods`. */
export const imageMethods = {
  /** Every image, from what the server knows already. */
  "image-list": { request: z.strictObject({}), answer: imageList },
  /** Builds images anew with the packages of the day; no names: all. Answers with the run that does it. */
  "image-build": {
    request: z.strictObject({ names: z.array(z.string().check(z.maxLength(63))).check(z.maxLength(60)), by }),
    answer: started,
  },
  /** Takes away what no document names any more, from registries and hosts. */
  "image-prune": { request: z.strictObject({ by }), answer: imagePruned },
  /** Makes another controller's registry the one that is pushed to. Null: it is the one already. */
  "registry-move": {
    request: z.strictObject({ host: hostName, by }),
    answer: z.strictObject({ from: hostName, run: z.nullable(started) }),
  },
} as const;
