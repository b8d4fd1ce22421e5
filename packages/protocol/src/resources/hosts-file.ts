import * as z from "zod/mini";

/** The whole of `/etc/hosts`. One per host; the resource's name is always `hosts`. */
export const hostsFileSpec = z.strictObject({
  /** Addresses with their names, first name canonical, in the order of the file. Loopback lines are added. */
  entries: z
    .array(
      z.strictObject({
        address: z.ipv4(),
        names: z
          .array(z.string().check(z.regex(/^[a-z0-9]([a-z0-9.-]{0,252}[a-z0-9])?$/)))
          .check(z.minLength(1), z.maxLength(8)),
      }),
    )
    .check(z.maxLength(1000)),
});
export type HostsFileSpec = z.infer<typeof hostsFileSpec>;
