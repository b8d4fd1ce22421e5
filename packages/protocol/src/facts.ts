import * as z from "zod/mini";

/** What a host is, as far as the cloud cares. Collected over SSH before enrolment, by the agent after it. */
export const facts = z.strictObject({
  hostname: z.string(),
  /** `/proc/sys/kernel/random/boot_id`. */
  bootId: z.uuid(),
  /** `ID` and `VERSION_ID` of os-release(5), such as `debian` and `12`. */
  os: z.strictObject({ id: z.string(), version: z.string() }),
  architecture: z.string(),
  cores: z.int(),
  memoryMiB: z.int(),
  /** Of the file system that holds `/var/lib`. */
  disk: z.strictObject({ totalMiB: z.int(), freeMiB: z.int() }),
  nics: z.array(z.strictObject({ name: z.string(), addresses: z.array(z.string()), up: z.boolean() })),
  /** Unix time of the host in milliseconds when it answered. */
  timeMs: z.number(),
  kvm: z.strictObject({ usable: z.boolean(), why: z.string() }),
});
export type Facts = z.infer<typeof facts>;
