import * as z from "zod/mini";

/**
 * A host's name, which is also its agent's id. One DNS label: a dot, `*` or `>` would break the isolation
 * of NATS subjects and permissions (tried on nats-server 2.10.27 and 2.15.1), so nothing else is ever
 * written into a subject or into the server's configuration.
 */
export const hostNamePattern = /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/;

/** @see hostNamePattern */
export const hostName = z.string().check(z.regex(hostNamePattern));

/** A service's name: one subject token and one file name. */
export const serviceName = z.string().check(z.regex(/^[a-z][a-z0-9-]{0,40}$/));

/** A cluster's name, such as `docker` or `galera`. */
export const clusterName = z.string().check(z.regex(/^[a-z][a-z0-9-]{0,40}$/));

/** The name of a resource within its type, such as `br-ex` in `ovs-bridge/br-ex`. */
export const resourceName = z.string().check(z.regex(/^[A-Za-z0-9][A-Za-z0-9._@:+-]{0,127}$/));

/** What an SSH key is pinned under: a host's name, or the jump host's with its port, such as `bastion.example.org:22`. */
export const pinName = z
  .string()
  .check(z.regex(/^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?$/));

/** The name of a secret in the vault, such as `packages-proxy-password`. */
export const secretName = z.string().check(z.regex(/^[a-z][a-z0-9-]{0,62}$/));

/** A host's role in the cloud. */
export const role = z.enum(["controller", "compute"]);
export type Role = z.infer<typeof role>;
