import * as z from "zod/mini";
import { secretRef } from "../seal.ts";
import { registryName } from "./docker-engine.ts";
import { absolutePath } from "./file.ts";

const path = z.string().check(z.regex(/^\/[A-Za-z0-9._@+/-]{0,254}$/));
/** The name of an image within its registry. */
export const imageName = z.string().check(z.regex(/^[a-z0-9][a-z0-9-]{0,62}$/));
/** `sha256:` and 64 hex digits. */
export const sha256 = z.string().check(z.regex(/^sha256:[0-9a-f]{64}$/));

/** Who an outside registry wants to see; the cloud's own asks nobody. */
export const registryLogin = z.strictObject({
  user: z.string().check(z.regex(/^[!-~]{1,200}$/)),
  password: secretRef,
});
export type RegistryLogin = z.infer<typeof registryLogin>;

/**
 * One container under a systemd unit `stackctl-<name>.service`, on the host's network. The unit starts it in order and
 * again after any exit; restarting dockerd touches it not. Changed in anything, it is made anew.
 */
export const containerSpec = z.strictObject({
  image: z.strictObject({
    /** Digest of the image's configuration, which is its id for docker on every host. */
    id: sha256,
    /** Where it is pulled from when the host lacks it; null: it was built here. */
    pull: z.nullable(
      z.strictObject({
        registry: registryName,
        name: imageName,
        digest: sha256,
        login: z.nullable(registryLogin),
      }),
    ),
  }),
  /** The program and its arguments; no shell. */
  command: z
    .array(z.string().check(z.minLength(1), z.maxLength(1000)))
    .check(z.minLength(1), z.maxLength(100)),
  /** `uid:gid`, numbers. */
  user: z.string().check(z.regex(/^[0-9]{1,7}:[0-9]{1,7}$/)),
  mounts: z
    .array(z.strictObject({ source: path, target: path, readOnly: z.boolean() }))
    .check(z.maxLength(40)),
  /** Folders in memory with mount(8)'s options, such as `mode=0755,uid=42401`. */
  tmpfs: z
    .array(z.strictObject({ target: path, options: z.string().check(z.regex(/^[a-z0-9=,]{0,200}$/)) }))
    .check(z.maxLength(20)),
  /** Linux capabilities that it keeps, without `CAP_`; all others are dropped. */
  capabilities: z.array(z.string().check(z.regex(/^[A-Z_]{1,40}$/))).check(z.maxLength(20)),
  /** Never secrets: whoever may ask docker reads them. */
  environment: z.record(
    z.string().check(z.regex(/^[A-Z_][A-Z0-9_]{0,60}$/)),
    z.string().check(z.maxLength(1000)),
  ),
  /** Files on the host that it reads at its start: when one changes, it is started anew. */
  configuration: z.array(path).check(z.maxLength(40)),
  /** Units that it starts after, and that it does not start without, such as `var-lib-nova-instances.mount`. */
  requires: z.array(z.string().check(z.regex(/^[A-Za-z0-9@._-]{1,200}$/))).check(z.maxLength(20)),
  /** How long it may take to stop before it is killed. */
  stopSeconds: z.int().check(z.positive(), z.maximum(900)),
  /** It is up once this answers; null: once it runs. */
  ready: z.nullable(
    z.strictObject({
      address: z.ipv4(),
      port: z.int().check(z.positive(), z.maximum(65535)),
      seconds: z.int().check(z.positive(), z.maximum(900)),
      /** The socket of a member of Galera: it is up once this one serves too, so that the next may go down. */
      galera: z.optional(absolutePath),
      /** It is up once a GET of this path is answered with 200, for what listens before it can serve; missing: once it takes a connection. */
      http: z.optional(z.string().check(z.regex(/^\/[A-Za-z0-9._/-]{0,200}$/))),
    }),
  ),
  /** A cluster of which it is a member, so that only one of it is down at a time; null: none. */
  cluster: z.nullable(z.string().check(z.regex(/^[a-z][a-z0-9-]{0,40}$/))),
});
export type ContainerSpec = z.infer<typeof containerSpec>;

/** The container of the registry on a controller: its name, what it is configured by inside, and its data on the host. */
export const registryContainer = {
  name: "registry",
  configuration: "/etc/docker/registry/config.yml",
  data: "/var/lib/stackctl/registry",
} as const;

/** The systemd unit of a container. */
export function containerUnit(name: string): string {
  return `stackctl-${name}.service`;
}
