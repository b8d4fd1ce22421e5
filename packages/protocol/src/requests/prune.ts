import * as z from "zod/mini";
import { imageName, sha256 } from "../resources/container.ts";
import { registryName } from "../resources/docker-engine.ts";

/**
 * A person wants what no document of this host names any more taken out of docker, and out of the registry on this host;
 * answered by {@link pruneAnswer}. What the agent's own documents name stays whatever is asked.
 */
export const pruneRequest = z.strictObject({
  kind: z.literal("prune"),
  /** The registry on this host; null: it runs none of ours. */
  registry: z.nullable(
    z.strictObject({ name: registryName, address: z.ipv4(), ca: z.string().check(z.maxLength(16384)) }),
  ),
  /** What stays in the registry beside that: what other hosts run, and what there is to go back to. */
  keep: z.array(z.strictObject({ name: imageName, digest: sha256 })).check(z.maxLength(500)),
});
export type PruneRequest = z.infer<typeof pruneRequest>;

export const pruneAnswer = z.strictObject({
  /** Names of what was taken away, such as `keystone@sha256:...`; the same image once for each place. */
  removed: z.array(z.string().check(z.maxLength(400))).check(z.maxLength(1000)),
  /** Room that is free now and was not before, in docker and in the registry. */
  freedBytes: z.strictObject({ docker: z.number(), registry: z.number() }),
  /** Null: all of it was done; else what was not, and why. */
  why: z.nullable(z.string().check(z.maxLength(2000))),
});
export type PruneAnswer = z.infer<typeof pruneAnswer>;
