import * as z from "zod/mini";

/**
 * The host must have been booted since a moment, told by the boot id that it had then. A reboot is proved by
 * another boot id, so the same spec never reboots twice. The resource's name is always `first-apply`.
 */
export const rebootSpec = z.strictObject({
  /** `/proc/sys/kernel/random/boot_id` that must be gone. */
  notBootId: z.uuid(),
});
export type RebootSpec = z.infer<typeof rebootSpec>;
