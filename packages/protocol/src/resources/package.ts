import * as z from "zod/mini";

/** Debian packages that must be installed; which version is the repository's matter. */
export const packageSpec = z.strictObject({
  packages: z
    .array(z.string().check(z.regex(/^[a-z0-9][a-z0-9+.-]{1,99}$/)))
    .check(z.minLength(1), z.maxLength(100)),
});
export type PackageSpec = z.infer<typeof packageSpec>;
