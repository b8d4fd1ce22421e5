import * as z from "zod/mini";

/** The host's NTP client, and server for others where `allow` names networks. The resource's name is always `chrony`. */
export const chronySpec = z.strictObject({
  /** NTP servers as DNS names or IP addresses. Order does not matter. */
  servers: z
    .array(z.string().check(z.regex(/^[A-Za-z0-9.:-]{1,253}$/)))
    .check(z.minLength(1), z.maxLength(16)),
  /** Networks (CIDR) that may ask this host for the time; empty: it serves nobody. */
  allow: z.array(z.cidrv4()).check(z.maxLength(16)),
  /** Clock error, in seconds, above which chrony steps instead of slewing, in its first three updates only. */
  stepThresholdSeconds: z.number().check(z.positive()),
});
export type ChronySpec = z.infer<typeof chronySpec>;
