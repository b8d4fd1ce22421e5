import type { GaleraDataSpec, GaleraFound } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import type { Context } from "../engine/resource.ts";
import { FakeHost } from "../testing/fake-host.ts";
import { galeraData, judgeData, parseGrastate } from "./galera-data.ts";

const uuid = "ca7ec2de-0000-11f0-8000-000000000001";
const other = "ca7ec2de-0000-11f0-8000-000000000002";
const empty: GaleraFound = { holds: "empty", uuid: null, seqno: -1, safeToBootstrap: false, own: false };
const galera: GaleraFound = { ...empty, holds: "galera", uuid };
const found: GaleraDataSpec["wants"] = {
  kind: "found",
  container: "mariadb",
  peers: [{ address: "10.0.0.12", port: 4567 }],
};
const member: GaleraDataSpec["wants"] = { kind: "member", uuid };

describe("judgeData", () => {
  it.each<{
    name: string;
    wants: GaleraDataSpec["wants"];
    found: GaleraFound;
    ordered?: boolean;
    then: string;
  }>([
    {
      name: "whatever is there may be looked at",
      wants: { kind: "look" },
      found: { ...empty, holds: "other" },
      then: "as it should be",
    },
    { name: "an empty folder joins", wants: member, found: empty, then: "as it should be" },
    { name: "its own data joins", wants: member, found: galera, then: "as it should be" },
    {
      name: "a joiner that was killed joins",
      wants: member,
      found: { ...galera, uuid: null },
      then: "as it should be",
    },
    {
      name: "another cluster's data does not join",
      wants: member,
      found: { ...galera, uuid: other },
      then: `holds data of cluster ${other}`,
    },
    {
      name: "its own name does not make another cluster's data right",
      wants: member,
      found: { ...galera, uuid: other, own: true },
      then: `holds data of cluster ${other}`,
    },
    {
      name: "a database of no cluster does not join",
      wants: member,
      found: { ...empty, holds: "other" },
      then: "holds a database that is of no cluster",
    },
    { name: "an empty folder is founded", wants: found, found: empty, then: "not founded yet" },
    {
      name: "one that is ordered is not ordered again",
      wants: found,
      found: { ...empty, own: true },
      ordered: true,
      then: "as it should be",
    },
    {
      name: "one that was founded is not founded again",
      wants: found,
      found: { ...galera, own: true },
      then: "as it should be",
    },
    {
      name: "one that was filled and never bootstrapped is founded again",
      wants: found,
      found: { ...empty, holds: "other", own: true },
      then: "not founded yet",
    },
    {
      name: "nothing is founded over a cluster's data",
      wants: found,
      found: galera,
      then: `holds data of cluster ${uuid}, which this cloud did not make`,
    },
    {
      name: "nothing is founded over a database",
      wants: found,
      found: { ...empty, holds: "other" },
      then: "holds a database that is of no cluster",
    },
  ])("$name", ({ wants, found: there, ordered = false, then }) => {
    expect(judgeData(wants, there, ordered)).toBe(then);
  });
});

describe("parseGrastate", () => {
  const text = (id: string): string =>
    `# GALERA saved state\nversion: 2.1\nuuid:    ${id}\nseqno:   17\nsafe_to_bootstrap: 1\n`;

  it("reads what Galera wrote", () => {
    expect(parseGrastate(text(uuid))).toEqual({ uuid, seqno: 17, safeToBootstrap: true });
    expect(parseGrastate(text("00000000-0000-0000-0000-000000000000"))?.uuid).toBeNull();
    expect(parseGrastate("uuid: what\n")).toBeNull();
    expect(parseGrastate("")).toBeNull();
  });
});

describe("galera-data", () => {
  const spec: GaleraDataSpec = { path: "/srv/db", wants: found };
  const world = (): { host: FakeHost; apply: () => Promise<void> } => {
    const host = new FakeHost();
    const context: Context = {
      host,
      reveal: () => "",
      goingDown: () => Promise.resolve(),
      doing: () => undefined,
    };
    host.folders.set("/srv/db", {
      mode: 0o750,
      owner: "703",
      group: "703",
      uid: 703,
      gid: 703,
      modifiedMs: 0,
    });
    const apply = async (): Promise<void> => {
      const { data } = await galeraData.read(context, spec, "member");
      await galeraData.apply(context, spec, [{ field: "data", from: data ?? null, to: null }], "member");
    };
    return { host, apply };
  };

  it("founds nothing while a member answers elsewhere", async () => {
    const { host, apply } = world();
    host.answering.add(4567);
    await expect(apply()).rejects.toMatchObject({ code: "data_foreign" });
    expect(host.mutations).toEqual([]);
  });

  it("touches nothing of what is not its own", async () => {
    const { host, apply } = world();
    host.contents.set("/srv/db/grastate.dat", {
      text: `uuid: ${uuid}\nseqno: 1\n`,
      mode: 0o600,
      owner: "703",
      group: "703",
    });
    const before = host.snapshot();
    await expect(apply()).rejects.toMatchObject({ code: "data_foreign" });
    expect(host.snapshot()).toEqual(before);
    expect(host.mutations).toEqual([]);
  });
});
