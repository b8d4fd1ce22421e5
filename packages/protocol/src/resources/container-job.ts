import * as z from "zod/mini";
import { containerSpec } from "./container.ts";
import { absolutePath } from "./file.ts";
import { databaseName } from "./mysql-database.ts";

const { image, command, user, mounts, tmpfs } = containerSpec.shape;

/**
 * A program of an image that brings a database to the schema that this image is for, and ends. That it is there is told
 * by the database; which schema an image is for, by what its own program left there when it ended well.
 */
export const containerJobSpec = z.strictObject({
  image,
  command,
  user,
  mounts,
  tmpfs,
  /** Where the schema's version is read. */
  schema: z.strictObject({ socket: absolutePath, database: databaseName }),
  /** How long it may run. */
  seconds: z.int().check(z.positive(), z.maximum(7200)),
});
export type ContainerJobSpec = z.infer<typeof containerJobSpec>;
