import * as z from "zod/mini";
import { absolutePath, ownerId } from "./file.ts";

/** A user's or group's name, as useradd(8) takes it without `--badname`. */
const accountName = z.string().check(z.regex(/^[a-z_][a-z0-9_-]{0,30}$/));

/** Root and nobody are nobody's to manage. */
const accountId = ownerId.check(z.minimum(1));

/**
 * A system user and its main group, with the same numbers on every host, so that what is shared between hosts is the same
 * user's everywhere. Without password; its home is a `directory` of its own.
 */
export const userSpec = z.strictObject({
  user: accountName,
  uid: accountId,
  group: accountName,
  gid: accountId,
  /** All the other groups that it is in; they must be there already, such as `libvirt` of the package of that name. */
  groups: z.array(accountName).check(z.maxLength(30)),
  home: absolutePath,
  /** Such as `/usr/sbin/nologin`. */
  shell: absolutePath,
});
export type UserSpec = z.infer<typeof userSpec>;
