import * as z from "zod/mini";
import { secretRef } from "../seal.ts";
import { containerSpec } from "./container.ts";
import { absolutePath } from "./file.ts";
import { databaseName } from "./mysql-database.ts";

const { image, user, mounts, tmpfs } = containerSpec.shape;

/** The cloud's first user `admin`, with its project and its role, made by keystone's own program. */
export const keystoneBootstrapSpec = z.strictObject({
  image,
  user,
  /** keystone's configuration, at the place where its program looks for it. */
  mounts,
  tmpfs,
  /** Keystone's database, in which is seen whether the user is there. */
  socket: absolutePath,
  database: databaseName,
  password: secretRef,
  seconds: z.int().check(z.positive(), z.maximum(900)),
});
export type KeystoneBootstrapSpec = z.infer<typeof keystoneBootstrapSpec>;
