import { createHash } from "node:crypto";
import * as z from "zod/mini";
import { cause } from "./cause.ts";
import { hostName, serviceName } from "./names.ts";
import { resourceSchema, type Resource } from "./resources/index.ts";
import { sealedSecret } from "./seal.ts";

/** Fields that every signed message of the server carries. */
const serverHeader = {
  v: z.literal(1),
  /** Random id of the cloud, made once by `init`. */
  cluster: z.uuid(),
  agent: hostName,
  /** How often this host was enrolled; a document for an earlier incarnation is refused. */
  incarnation: z.int().check(z.positive()),
  /** The server that leads this epoch; one per epoch. */
  leader: z.uuid(),
  epoch: z.int().check(z.positive()),
  issuedAt: z.iso.datetime(),
  notAfter: z.iso.datetime(),
  /** Id of the signing key. */
  kid: z.string().check(z.maxLength(64)),
};

/** The header of a document. `(epoch, seq)` only ever grows per agent, incarnation and service. */
export const documentHeader = z.strictObject({
  kind: z.literal("doc"),
  ...serverHeader,
  service: serviceName,
  seq: z.int().check(z.positive()),
  /** Oldest agent version that understands it. */
  minAgent: z.string().check(z.regex(/^\d+\.\d+\.\d+$/)),
});
export type DocumentHeader = z.infer<typeof documentHeader>;

/** All resources that one service needs on one host. No resources: the service leaves the host. */
export const documentBody = z.strictObject({
  service: serviceName,
  /** See {@link documentDigest}. */
  digest: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  /** Services of the same host that converge before this one, at boot, repair and return. */
  needs: z.array(serviceName).check(z.maxLength(50)),
  resources: z.array(resourceSchema).check(z.maxLength(500)),
  sealed: z.array(sealedSecret).check(z.maxLength(200)),
  /** Where a resource comes from, by its id, such as `cloud.yaml:24`; for people, not part of the digest. */
  origins: z.record(z.string(), z.string().check(z.maxLength(200))),
  cause,
});
export type DocumentBody = z.infer<typeof documentBody>;

/**
 * The digest that tells whether a document differs: over what it asks for, with every secret as reference and
 * version, and over nothing else (not its cause, origins or sealed boxes). Hex SHA-256.
 * The caller gives resources in a fixed order; keys may come in any.
 */
export function documentDigest(
  service: string,
  needs: readonly string[],
  resources: readonly Resource[],
): string {
  return createHash("sha256")
    .update(canonicalJson([service, needs, resources]))
    .digest("hex");
}

/** JSON with sorted keys: the same text for the same value. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** The header of a request: like a document's, but of short life, never kept, and named by a random id. */
export const requestHeader = z.strictObject({ kind: z.literal("req"), ...serverHeader, requestId: z.uuid() });
export type RequestHeader = z.infer<typeof requestHeader>;
