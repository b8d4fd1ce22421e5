import * as z from "zod/mini";
import { absolutePath } from "./file.ts";
import { galeraUuid } from "./galera-data.ts";

/** The member of this host serves: it is in the primary component, has all data and takes queries. */
export const galeraMemberSpec = z.strictObject({
  /** Its socket, on which root needs no password. */
  socket: absolutePath,
  /** Its data directory. */
  data: absolutePath,
  /** The container that it runs in; while that is down there is nothing to wait for. */
  container: z.string().check(z.regex(/^[a-z][a-z0-9-]{0,40}$/)),
  /** The cluster that it must be of; null: it is being founded here. */
  uuid: z.nullable(galeraUuid),
  /** How many members there should be. */
  members: z.int().check(z.positive(), z.maximum(20)),
  /** How long it may take to receive what it lacks. */
  seconds: z.int().check(z.positive(), z.maximum(7200)),
});
export type GaleraMemberSpec = z.infer<typeof galeraMemberSpec>;
