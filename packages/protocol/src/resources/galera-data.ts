import * as z from "zod/mini";
import { absolutePath } from "./file.ts";

/** A cluster's id as Galera writes it, lower case. */
export const galeraUuid = z
  .string()
  .check(z.regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/));

/**
 * What a member of Galera has on disk before it is started. Nothing is ever removed to make it so: data of another
 * cluster, or of no cluster, is refused.
 */
export const galeraDataSpec = z.strictObject({
  path: absolutePath,
  wants: z.discriminatedUnion("kind", [
    /** Only looks, so that it is known what is there before anything is founded. */
    z.strictObject({ kind: z.literal("look") }),
    /** The cluster begins here: an empty folder is ordered to be filled and to bootstrap, once. */
    z.strictObject({
      kind: z.literal("found"),
      /** It is stopped before it is told to begin anew. */
      container: z.string().check(z.regex(/^[a-z][a-z0-9-]{0,40}$/)),
      /** Where another member would answer: as long as one does, nothing is founded. */
      peers: z
        .array(z.strictObject({ address: z.ipv4(), port: z.int().check(z.positive(), z.maximum(65535)) }))
        .check(z.maxLength(20)),
    }),
    /** The data of this cluster, or nothing yet. */
    z.strictObject({ kind: z.literal("member"), uuid: galeraUuid }),
  ]),
});
export type GaleraDataSpec = z.infer<typeof galeraDataSpec>;

/** Files in the data directory by which the agent and the container's start tell each other how far the founding is. */
export const galeraMarks = {
  /** Ordered: what is here was never used, and is replaced by an empty database. */
  found: "stackctl-found",
  /** Filled: the next start bootstraps. Gone before the server is started. */
  bootstrap: "stackctl-bootstrap",
  /** This cloud made what is here. */
  founded: "stackctl-founded",
  /** How far the data is, `uuid:number`, as the last start found it: what a member that waits for others has. */
  position: "stackctl-position",
  /** Ordered: no member serves, and this one has the newest data, namely this {@link position}. The next start begins with it. */
  lead: "stackctl-lead",
} as const;

/** What {@link galeraDataSpec} found: the form of its output `data`, as JSON. */
export const galeraFound = z.strictObject({
  /** `empty`: nothing that a cluster or a database left. `other`: a database that is of no cluster. */
  holds: z.enum(["empty", "galera", "other"]),
  /** Null: of no cluster yet. */
  uuid: z.nullable(galeraUuid),
  /** Number of the last change that it is known to have; -1: it was not stopped in order. */
  seqno: z.int(),
  safeToBootstrap: z.boolean(),
  /** Made by this cloud's own founding. */
  own: z.boolean(),
});
export type GaleraFound = z.infer<typeof galeraFound>;
