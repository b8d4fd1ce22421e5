import * as z from "zod/mini";
import { clusterName } from "../names.ts";
import { absolutePath } from "./file.ts";

/** A unit of systemd: one of our own, or one that a package brings and that is added to. */
export const systemdUnitSpec = z.strictObject({
  /** Such as `libvirtd.service`. */
  unit: z
    .string()
    .check(z.regex(/^[A-Za-z0-9][A-Za-z0-9:_.@-]{0,120}\.(service|socket|timer|mount|path|target)$/)),
  /** Where the text goes; `unit`: it is the whole unit; `drop-in`: into a file of this resource's name in the unit's `.d` folder. */
  kind: z.enum(["unit", "drop-in"]),
  text: z.string().check(z.minLength(1), z.maxLength(65_536)),
  /** Files on the host that it reads at its start: when one changes, it is restarted. */
  configuration: z.array(absolutePath).check(z.maxLength(40)),
  /** Starts at boot. False for one without an `[Install]` section. */
  enabled: z.boolean(),
  /** Runs, and is restarted when its text or configuration changes. A oneshot has to remain after its exit. */
  active: z.boolean(),
  /** A cluster of which it is a member, so that only one of it is down at a time; null: none. */
  cluster: z.nullable(clusterName),
});
export type SystemdUnitSpec = z.infer<typeof systemdUnitSpec>;
