import { change, mustSucceed } from "./command.ts";
import { readOrNull } from "./files.ts";
import type { Account, Accounts } from "./host.ts";

/** Commands about accounts run one after the other: they lock the same files. */
const purpose = "accounts";
const timeoutMs = 60_000;

/** Fields of each line of passwd(5) or group(5); NIS lines and what is not of that form are left out. */
function linesOf(text: string, fields: number): string[][] {
  return text
    .split("\n")
    .map((line) => line.split(":"))
    .filter((line) => line.length === fields && /^[^+-]/.test(line[0] ?? ""));
}

/** A user as passwd(5) and group(5) have it; null: there is none of that name. */
export function parseAccount(passwd: string, group: string, name: string): Account | null {
  const found = linesOf(passwd, 7).find(([user]) => user === name);
  if (found === undefined) return null;
  const [, , uid = "", gid = "", , home = "", shell = ""] = found;
  const groups = linesOf(group, 4);
  const main = groups.find(([, , number]) => number === gid)?.[0] ?? gid;
  const others = groups
    .filter(([, , , members = ""]) => members.split(",").includes(name))
    .map(([other = ""]) => other)
    .filter((other) => other !== main);
  return { uid: Number(uid), group: main, groups: others.toSorted(), home, shell };
}

/** Users and groups by Debian's passwd package. */
export function linuxAccounts(): Accounts {
  const groupNumber = (name: string): number | null => {
    const found = linesOf(readOrNull("/etc/group") ?? "", 4).find(([group]) => group === name);
    return found === undefined ? null : Number(found[2]);
  };
  const user = (name: string): Account | null =>
    parseAccount(readOrNull("/etc/passwd") ?? "", readOrNull("/etc/group") ?? "", name);
  const must = async (argv: readonly string[]): Promise<void> => {
    mustSucceed(await change(purpose, argv, timeoutMs));
  };
  return {
    user,
    group: groupNumber,
    setGroup: async (name, gid) => {
      const how = groupNumber(name) === null ? ["groupadd", "--system"] : ["groupmod"];
      await must([...how, "--gid", String(gid), "--", name]);
    },
    setUser: async (name, { uid, group, groups, home, shell }) => {
      const wish = [
        ...["--uid", String(uid), "--gid", group, "--groups", groups.join(",")],
        ...["--shell", shell],
      ];
      // useradd(8): a system user gets no home of its own and no range of subordinate ids.
      if (user(name) === null)
        await must(["useradd", "--system", "--no-create-home", ...wish, "--home-dir", home, "--", name]);
      else await must(["usermod", ...wish, "--home", home, "--", name]);
    },
    removeUser: async (name) => {
      const found = user(name);
      if (found === null) return;
      // userdel(8) takes the group of the same name along while that is the main one (USERGROUPS_ENAB, Debian's default).
      if (found.group === name) await must(["usermod", "--gid", "nogroup", "--", name]);
      await must(["userdel", "--", name]);
    },
    removeGroup: async (name) => {
      if (groupNumber(name) !== null) await must(["groupdel", "--", name]);
    },
  };
}
