import * as z from "zod/mini";
import { hostName } from "../names.ts";

const count = z.int().check(z.nonnegative());

/** Where one host is in an upgrade. */
export const upgradeState = z.enum(["pending", "running", "unchanged", "changed", "skipped", "failed"]);
export type UpgradeState = z.infer<typeof upgradeState>;

/** One upgrade of agents as it is now. `agent upgrade --json` prints exactly this once it is done. */
export const upgradeView = z.strictObject({
  /** Null: there was nothing to do. */
  id: z.nullable(count),
  state: z.enum(["running", "done"]),
  release: z.string(),
  outcome: z.nullable(z.enum(["unchanged", "changed", "failed"])),
  /** Of a failure: what it was, and what that means for the other hosts. */
  why: z.nullable(z.string()),
  seconds: z.number(),
  hosts: z.array(
    z.strictObject({
      host: hostName,
      /** The one that goes first. */
      canary: z.boolean(),
      state: upgradeState,
      /** What it does now, or why it was skipped or failed. */
      text: z.nullable(z.string()),
      /** The release that it ran before. */
      from: z.nullable(z.string()),
      /** The release that it runs, as far as it was heard. */
      running: z.nullable(z.string()),
      seconds: z.nullable(z.number()),
    }),
  ),
});
export type UpgradeView = z.infer<typeof upgradeView>;

/** The calls about upgrades. */
export const upgradeMethods = {
  /** Upgrades the agents of these hosts (none named: all), or joins the same that is under way. */
  "agent-upgrade": {
    request: z.strictObject({
      hosts: z.array(hostName).check(z.maxLength(1000)),
      /** Path on the server's machine of an agent's bundle; null: the one that the server has built in. */
      bundle: z.nullable(z.string().check(z.minLength(1), z.maxLength(4096))),
      by: z.string().check(z.maxLength(64)),
    }),
    answer: upgradeView,
  },
  /** News of an upgrade: waits at most `waitMs` for some. */
  "agent-upgrade-news": {
    request: z.strictObject({ id: count, waitMs: z.int().check(z.minimum(0), z.maximum(10_000)) }),
    answer: upgradeView,
  },
} as const;
