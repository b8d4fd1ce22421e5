import * as z from "zod/mini";

/** A kernel parameter as sysctl(8) writes it, such as `net.ipv4.ip_forward`; a dot within a part is a slash, as in `eth0/100`. */
const kernelParameter = z
  .string()
  .check(z.regex(/^[a-z][a-z0-9_]*(\.[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+)*)+$/), z.maxLength(200));

/** Kernel parameters of one purpose, live and after each boot; the resource's name is that of their file in `/etc/sysctl.d`. */
export const sysctlSpec = z.strictObject({
  /** Values by parameter, as the kernel prints them, with single spaces between several numbers. */
  values: z.record(
    kernelParameter,
    z.string().check(z.regex(/^[A-Za-z0-9_.,:+-]+( [A-Za-z0-9_.,:+-]+)*$/), z.maxLength(200)),
  ),
});
export type SysctlSpec = z.infer<typeof sysctlSpec>;
