import { hostPaths, type UserSpec } from "@stackctl/protocol";
import { keepOurs, readOurs } from "../engine/ours.ts";
import type { Behaviour, State } from "../engine/resource.ts";

/** The users and groups that the agent made and that were not there before: the ones to take away again. */
const ours = `${hostPaths.state}/made-accounts`;

/**
 * Keeps a system user and its main group with fixed numbers. On removal what was there before stays; files of the user
 * stay too, and belong to other resources.
 */
export const user: Behaviour<"user"> = {
  read({ host: { accounts } }, { user: name, group }): State {
    const account = accounts.user(name);
    return {
      gid: accounts.group(group),
      uid: account?.uid ?? null,
      group: account?.group ?? null,
      groups: account?.groups.join(",") ?? null,
      home: account?.home ?? null,
      shell: account?.shell ?? null,
    };
  },
  desired: ({ uid, gid, group, groups, home, shell }): State => ({
    gid,
    uid,
    group,
    groups: groups.toSorted().join(","),
    home,
    shell,
  }),
  async apply({ host, doing }, spec, changes) {
    const { user: name, uid, gid, group, groups, home, shell } = spec;
    const { accounts } = host;
    const fields = changes.map(({ field }) => field);
    const made = marksOf(spec).filter((mark) =>
      mark.startsWith("user ") ? accounts.user(name) === null : accounts.group(group) === null,
    );
    // Noted first: a crash between leaves a mark too many, which removal does not mind, and never one too few.
    if (made.length > 0) keepOurs(host, ours, [...readOurs(host, ours), ...made]);
    doing(`making user ${name}`);
    if (fields.includes("gid")) await accounts.setGroup(group, gid);
    if (fields.some((field) => field !== "gid"))
      await accounts.setUser(name, { uid, group, groups: groups.toSorted(), home, shell });
  },
  async remove({ host, doing }, spec, _name, spared) {
    const known = readOurs(host, ours);
    const going = marksOf(spec).filter((mark) => known.includes(mark) && !spared.has(mark.replace(" ", ":")));
    if (going.length === 0) return;
    doing(`removing user ${spec.user}`);
    if (going.includes(userMark(spec))) await host.accounts.removeUser(spec.user);
    if (going.includes(groupMark(spec))) await host.accounts.removeGroup(spec.group);
    keepOurs(
      host,
      ours,
      known.filter((mark) => !going.includes(mark)),
    );
  },
  owns: (spec) => marksOf(spec).map((mark) => mark.replace(" ", ":")),
  restarts: () => [],
  disrupts: () => null,
  watch: () => ({ files: ["/etc/passwd", "/etc/group"] }),
};

function userMark({ user: name }: UserSpec): string {
  return `user ${name}`;
}

function groupMark({ group }: UserSpec): string {
  return `group ${group}`;
}

function marksOf(spec: UserSpec): string[] {
  return [userMark(spec), groupMark(spec)];
}
