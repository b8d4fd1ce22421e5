import * as z from "zod/mini";
import { absolutePath, fileMode, ownerId } from "./file.ts";

/** One folder; what is in it is somebody else's. */
export const directorySpec = z.strictObject({
  path: absolutePath,
  owner: ownerId,
  group: ownerId,
  mode: fileMode,
  /** True: what is in it is data, and it stays when the resource goes, unless it is empty. */
  holdsData: z.boolean(),
});
export type DirectorySpec = z.infer<typeof directorySpec>;
