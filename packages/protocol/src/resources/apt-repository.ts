import * as z from "zod/mini";

/** A URL of a package mirror, http or https, without credentials. */
export const mirrorUrl = z
  .string()
  .check(z.regex(/^https?:\/\/[A-Za-z0-9.:-]+(\/[A-Za-z0-9._~/-]*)?$/), z.maxLength(512));

/**
 * Where the host gets Debian's packages from. One per host; the resource's name is always `debian`.
 * The host's own `sources.list` is kept aside and comes back when the resource is removed.
 */
export const aptRepositorySpec = z.strictObject({
  mirror: mirrorUrl,
  /** Where `bookworm-security` comes from; null: the mirror has no security suite. */
  securityMirror: z.nullable(mirrorUrl),
});
export type AptRepositorySpec = z.infer<typeof aptRepositorySpec>;
