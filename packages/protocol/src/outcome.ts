import * as z from "zod/mini";

/** How something ended. `skipped` and `failed` always say why. */
export const outcome = z.enum(["unchanged", "planned", "changed", "skipped", "failed"]);
export type Outcome = z.infer<typeof outcome>;

/**
 * What became of one resource. `kept`: it left the cloud, and its data stays on the host; `why` says what and where.
 */
export const resourceResult = z.enum(["unchanged", "planned", "changed", "skipped", "failed", "kept"]);
export type ResourceResult = z.infer<typeof resourceResult>;

/** A flat value of desired or observed state; null: absent. Text may have many lines. */
export const fieldValue = z.union([z.string().check(z.maxLength(8192)), z.number(), z.boolean(), z.null()]);
export type FieldValue = z.infer<typeof fieldValue>;

/** One differing field, observed -> desired. Never holds a secret. */
export const change = z.strictObject({
  field: z.string().check(z.maxLength(100)),
  from: fieldValue,
  to: fieldValue,
});
export type Change = z.infer<typeof change>;

/** What became, or would become, of one resource. */
export const resourceOutcome = z.strictObject({
  id: z.string().check(z.maxLength(200)),
  outcome: resourceResult,
  why: z.optional(z.string().check(z.maxLength(2000))),
  changes: z.array(change).check(z.maxLength(100)),
  /** What a change would stop or restart, such as `restart chrony.service`; empty: nothing. */
  restarts: z.array(z.string().check(z.maxLength(100))).check(z.maxLength(20)),
  /** What the resource gave that others depend on, such as the digest of an image that was built. */
  outputs: z.optional(z.record(z.string().check(z.maxLength(100)), z.string().check(z.maxLength(2000)))),
});
export type ResourceOutcome = z.infer<typeof resourceOutcome>;
