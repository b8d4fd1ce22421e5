import { describe, expect, it } from "vitest";
import { FakeHost } from "../testing/fake-host.ts";
import { lead, positionOf } from "./galera-member.ts";

const uuid = "ca7ec2de-0000-11f0-8000-000000000001";
const data = "/var/lib/x";
const member = { socket: "/run/x.sock", data, container: "mariadb" };

/** A host whose member was started, has this position and waits. */
function waiting(position: string): FakeHost {
  const host = new FakeHost();
  host.files.makeFolder(data, 0o750, { uid: 703, gid: 703 });
  host.files.write(`${data}/stackctl-position`, position, 0o600);
  host.files.write("/etc/systemd/system/stackctl-mariadb.service", "[Service]", 0o644);
  void host.units.reload();
  host.mutations.length = 0;
  return host;
}

describe("positionOf", () => {
  it("reads what the last start found, and nothing else", () => {
    expect(positionOf(waiting(`${uuid}:17`), data)).toEqual({ uuid, seqno: 17 });
    for (const text of ["", "17", `${uuid}:-1`, `${uuid}:`, "00000000:1", `${uuid}:1 x`])
      expect(positionOf(waiting(text), data), text).toBeNull();
  });
});

describe("lead", () => {
  it("orders the start to begin with just this data", async () => {
    const host = waiting(`${uuid}:17`);
    expect(await lead(host, member, { uuid, seqno: 17 })).toBeNull();
    expect(host.contents.get(`${data}/stackctl-lead`)?.text).toBe(`${uuid}:17`);
    expect(host.mutations).toEqual([
      "units.stop stackctl-mariadb.service",
      `files.write ${data}/stackctl-lead`,
      "units.start stackctl-mariadb.service",
    ]);
  });

  it("does nothing when its data is other than was said, or it serves by now", async () => {
    const newer = waiting(`${uuid}:18`);
    expect(await lead(newer, member, { uuid, seqno: 17 })).toContain("has");
    const serving = waiting(`${uuid}:17`);
    serving.wsrep.push({ state: "Synced", primary: true, ready: true, size: 3, uuid });
    expect(await lead(serving, member, { uuid, seqno: 17 })).toBe("it answers by now");
    expect([...newer.mutations, ...serving.mutations]).toEqual([]);
  });
});
