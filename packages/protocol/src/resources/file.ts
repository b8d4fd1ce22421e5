import * as z from "zod/mini";
import { secretRef } from "../seal.ts";

/** An absolute path in normal form. */
export const absolutePath = z
  .string()
  .check(
    z.regex(/^(\/[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*|\/\.[A-Za-z0-9_][A-Za-z0-9._-]*)+$/),
    z.maxLength(255),
  );
/** A user's or group's number. */
export const ownerId = z.int().check(z.minimum(0), z.maximum(65_533));
/** Permissions as chmod(1) writes them, such as `0640`. */
export const fileMode = z.string().check(z.regex(/^0[0-7]{3}$/));

/** One file, whole. Its parts follow each other; one may be a secret. */
export const fileSpec = z.strictObject({
  path: absolutePath,
  content: z
    .array(
      z.union([
        z.strictObject({ text: z.string().check(z.maxLength(65_536)) }),
        z.strictObject({ secret: secretRef }),
      ]),
    )
    .check(z.maxLength(200)),
  owner: ownerId,
  group: ownerId,
  mode: fileMode,
});
export type FileSpec = z.infer<typeof fileSpec>;
