import { describe, expect, it } from "vitest";
import { parseGrants } from "./database.ts";

describe("parseGrants", () => {
  it("reads what the server says of a user", () => {
    expect(
      parseGrants([
        "GRANT RELOAD, LOCK TABLES, BINLOG MONITOR ON *.* TO `sst`@`localhost` IDENTIFIED BY PASSWORD '*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29'",
        "GRANT ALL PRIVILEGES ON `nova\\_api`.* TO `sst`@`localhost`",
        "GRANT SELECT, INSERT ON `keystone`.* TO `sst`@`localhost`",
      ]),
    ).toEqual({
      hash: "*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29",
      privileges: ["RELOAD", "LOCK TABLES", "BINLOG MONITOR"],
      databases: { nova_api: ["ALL PRIVILEGES"], keystone: ["SELECT", "INSERT"] },
    });
  });

  it("finds no privilege where there is only the right to connect, and tells of the right to give rights away", () => {
    expect(parseGrants(["GRANT USAGE ON *.* TO `m`@`%`"])).toEqual({
      hash: null,
      privileges: [],
      databases: {},
    });
    expect(parseGrants(["GRANT SUPER ON *.* TO `m`@`%` WITH GRANT OPTION"]).privileges).toEqual([
      "SUPER",
      "GRANT OPTION",
    ]);
  });

  it("does not guess what it does not know, and does not show a password's hash", () => {
    const line =
      "GRANT SELECT ON `a`.`b` TO `m`@`%` IDENTIFIED BY PASSWORD '*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29'";
    expect(() => parseGrants([line])).toThrow("a grant of another form");
    expect(() => parseGrants([line])).not.toThrow("94BD");
  });
});
