import * as z from "zod/mini";
import { secretRef } from "../seal.ts";
import { absolutePath, ownerId } from "./file.ts";

/** A folder of keystone's keys, whole: the highest index signs, 0 is the one that signs next. */
export const keyRingSpec = z.strictObject({
  /** Inside of a folder that a container mounts: it sees keys come and go as files are renamed in here. */
  path: absolutePath,
  owner: ownerId,
  group: ownerId,
  /** Only ever grows; a ring is always sent whole. */
  generation: z.int().check(z.positive()),
  keys: z
    .array(z.strictObject({ index: z.int().check(z.nonnegative(), z.maximum(1_000_000)), key: secretRef }))
    .check(z.minLength(2), z.maxLength(50)),
});
export type KeyRingSpec = z.infer<typeof keyRingSpec>;
