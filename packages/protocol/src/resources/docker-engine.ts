import * as z from "zod/mini";
import { proxyLogin, proxyUrl } from "./apt-proxy.ts";

/** Name and port of an image registry, such as `registry.demo.internal:4000`. */
export const registryName = z
  .string()
  .check(z.regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?$/), z.maxLength(260));

/** dockerd with its configuration. One per host; the resource's name is always `docker`. */
export const dockerEngineSpec = z.strictObject({
  /** Registries whose certificates are signed by an authority of their own: PEM. */
  trust: z
    .array(z.strictObject({ registry: registryName, ca: z.string().check(z.maxLength(16384)) }))
    .check(z.maxLength(8)),
  /** What dockerd pulls through from outside; left out: nothing is pulled from there, or it is reached directly. */
  proxy: z.optional(
    z.strictObject({
      url: proxyUrl,
      login: proxyLogin,
      /** Names, domains (`.example.org`), addresses and networks that are reached directly. */
      direct: z
        .array(z.string().check(z.regex(/^[A-Za-z0-9.-]{1,253}(\/[0-9]{1,2})?$/)))
        .check(z.maxLength(300)),
    }),
  ),
  /** A cluster of which this dockerd is a member, so that only one of it is down at a time; null: none. */
  cluster: z.nullable(z.string().check(z.regex(/^[a-z][a-z0-9-]{0,40}$/))),
});
export type DockerEngineSpec = z.infer<typeof dockerEngineSpec>;
