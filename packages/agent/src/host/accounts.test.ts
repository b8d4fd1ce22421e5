import { expect, it } from "vitest";
import { parseAccount } from "./accounts.ts";

const passwd = [
  "root:x:0:0:root:/root:/bin/bash",
  "nova:x:702:702:Nova,,,:/var/lib/nova:/usr/sbin/nologin",
  "stray:x:703:999::/:/bin/sh",
  "+nis::::::",
  "",
].join("\n");
const group = [
  "root:x:0:",
  "users:x:100:nova,root",
  "nova:x:702:nova",
  "adm:x:4:root,nova",
  "x:x:9:novae",
  "",
].join("\n");

it("reads a user with the names of its groups, its main one not twice", () => {
  expect(parseAccount(passwd, group, "nova")).toEqual({
    uid: 702,
    group: "nova",
    groups: ["adm", "users"],
    home: "/var/lib/nova",
    shell: "/usr/sbin/nologin",
  });
});

it("says the number of a main group that has no name", () => {
  expect(parseAccount(passwd, group, "stray")).toMatchObject({ group: "999", groups: [] });
});

it("knows nobody by half a name, nor a line of NIS", () => {
  for (const name of ["nov", "+nis", ""]) expect(parseAccount(passwd, group, name)).toBeNull();
});
