import * as z from "zod/mini";

/** How to log in to the cloud as its admin. */
export const credentials = z.strictObject({
  cloud: z.string(),
  /** Keystone's URL. */
  authUrl: z.string(),
  region: z.string(),
  user: z.string(),
  password: z.string(),
  project: z.string(),
  /** The domain of both. */
  domain: z.string(),
  /** The authority of the cloud's certificates, PEM. */
  authority: z.string(),
});
export type Credentials = z.infer<typeof credentials>;
