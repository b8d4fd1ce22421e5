import * as z from "zod/mini";

/** Why a thing changed. Every change has one that can be asked for with `stackctl why`. */
export const cause = z.strictObject({
  kind: z.enum(["run", "drift", "return", "rotation", "person", "removal"]),
  /** One line for people, such as `run 12, cloud.yaml:24, by root` or `edited on the host at 14:11:01`. */
  text: z.string().check(z.maxLength(500)),
  /** The run that it belongs to, if any. */
  run: z.optional(z.int()),
});
export type Cause = z.infer<typeof cause>;
