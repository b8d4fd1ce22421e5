import * as z from "zod/mini";
import { secretRef } from "../seal.ts";

const word = z.string().check(z.regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,60}$/));
const url = z.string().check(z.regex(/^https?:\/\/[A-Za-z0-9.:-]{1,100}(\/[A-Za-z0-9._%()$/-]{0,100})?$/));

/** What keystone tells everybody: services and where they are; and the users that services have there. */
export const keystoneCatalogSpec = z.strictObject({
  /** Where keystone is asked, such as `http://10.0.0.11:5000/v3`. */
  url,
  /** Of `admin`. */
  password: secretRef,
  region: word,
  /** The project that the services' users work in. */
  project: word,
  services: z
    .array(
      z.strictObject({
        type: word,
        name: word,
        endpoints: z.strictObject({ public: url, internal: url, admin: url }),
        /** Null: it asks keystone for nothing. */
        user: z.nullable(z.strictObject({ name: word, password: secretRef })),
      }),
    )
    .check(z.maxLength(50)),
});
export type KeystoneCatalogSpec = z.infer<typeof keystoneCatalogSpec>;
