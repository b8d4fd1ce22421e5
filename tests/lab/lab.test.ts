import { describe, expect, it } from "vitest";
import { address, bridgeName, linkName, networkNames, overlaps, readLab, type Lab } from "./lab.ts";
import { locked, take } from "./lock.ts";
import { isKeeper } from "./power.ts";
import { squidConfiguration } from "./proxy.ts";
import { labOf, type LabWish } from "./up.ts";

const wish: LabWish = {
  name: "demo",
  controllers: 3,
  computes: 2,
  management: "10.10.0.0/24",
  public: "192.168.2.0/24",
  data: "10.10.1.0/24",
  nics: ["ens3", "ens4", "ens5"],
  user: "ops",
  sshPort: 2222,
  proxy: true,
  memoryMiB: 2048,
  fresh: false,
};

describe("a lab", () => {
  it("has the hosts, addresses and NICs that were asked for", () => {
    const lab = labOf(wish);
    expect(lab.hosts.map(({ name, management }) => `${name} ${management}`)).toEqual([
      "controller1 10.10.0.11",
      "controller2 10.10.0.12",
      "controller3 10.10.0.13",
      "compute1 10.10.0.14",
      "compute2 10.10.0.15",
    ]);
    expect(lab.networks.public).toEqual({
      cidr: "192.168.2.0/24",
      interface: "ens4",
      gateway: "192.168.2.1",
    });
    expect(lab.ssh).toMatchObject({ user: "ops", port: 2222 });
  });

  it("has either a proxy or a mirror", () => {
    expect(labOf(wish)).toMatchObject({
      mirror: null,
      proxy: { url: "http://10.10.0.1:3128", user: "demo" },
    });
    expect(labOf({ ...wish, proxy: false })).toMatchObject({
      mirror: "http://10.10.0.1:3142/debian",
      proxy: null,
    });
  });

  it.each([
    { wrong: { name: "Not Good" }, says: "no name for a lab" },
    { wrong: { name: "../etc" }, says: "no name for a lab" },
    { wrong: { user: "a b" }, says: "no name for a user" },
    { wrong: { nics: ["eth0", "eth0", "eth1"] as const }, says: "three different NICs" },
    { wrong: { controllers: 0, computes: 0 }, says: "without hosts" },
    { wrong: { public: "10.10.0.128/25" }, says: "10.10.0.0/24 and 10.10.0.128/25 overlap" },
    { wrong: { data: "10.10.1.0/29" }, says: "10.10.1.0/29 is no network that holds this lab" },
    { wrong: { data: "10.10.300.0/24" }, says: "10.10.300.0/24 is no network" },
    { wrong: { data: "10.10.1.7/24" }, says: "it would be 10.10.1.0/24" },
  ])("refuses $wrong", ({ wrong, says }) => {
    expect(() => labOf({ ...wish, ...wrong })).toThrow(says);
  });

  it("is looked for by its name only, never by a path", () => {
    expect(() => readLab("../../etc")).toThrow("no name for a lab");
  });

  it("counts addresses over the borders of bytes, and not the broadcast address", () => {
    expect(address("10.0.252.0/22", 300)).toBe("10.0.253.44");
    expect(address("10.0.0.0/28", 14)).toBe("10.0.0.14");
    expect(() => address("10.0.0.0/28", 15)).toThrow("no network");
  });

  it("sees that a network holds another, or ends where the other begins", () => {
    expect(overlaps("10.0.0.0/8", "10.10.1.0/24")).toBe(true);
    expect(overlaps("10.10.1.0/24", "10.0.0.0/8")).toBe(true);
    expect(overlaps("10.10.0.0/24", "10.10.1.0/24")).toBe(false);
  });

  it("names interfaces that the kernel takes, and others for another lab", () => {
    const names = networkNames.flatMap((network) => [
      bridgeName("a-long-lab-name", network),
      linkName("a-long-lab-name", 12, network),
    ]);
    for (const name of names) expect(name.length).toBeLessThanOrEqual(15);
    expect(new Set(names).size).toBe(names.length);
    expect(bridgeName("a", "data")).not.toBe(bridgeName("b", "data"));
  });
});

describe("squid", () => {
  it("lets a lab with proxy in by password only, and one without by its mirror only", () => {
    const proxied = labOf(wish);
    const mirrored: Lab = labOf({ ...wish, name: "other", management: "10.20.0.0/24", proxy: false });
    const text = squidConfiguration([proxied, mirrored]);
    expect(text).toContain("http_port 10.10.0.1:3128 name=proxy_demo");
    expect(text).toContain("http_access allow at_demo from_demo user_demo");
    expect(text).toContain("http_port 10.20.0.1:3142 accel");
    expect(
      text
        .split("\n")
        .filter((line) => line.startsWith("http_access"))
        .at(-1),
    ).toBe("http_access deny all");
  });

  it("asks Debian's origin only for what comes in by a mirror", () => {
    const mirrored = labOf({ ...wish, proxy: false });
    const lines = squidConfiguration([labOf({ ...wish, name: "other" }), mirrored]).split("\n");
    expect(lines.filter((line) => line.includes("cache_peer_access"))).toEqual([
      "cache_peer_access debian allow accelerated",
      "cache_peer_access debian deny all",
    ]);
    expect(lines).toContain("acl accelerated myportname mirror_demo");
  });
});

describe("a keeper", () => {
  it("is told by its lab, not by its checkout", () => {
    expect(isKeeper(["/a/bin/node", "/b/tests/lab/keeper.ts", "demo"], "demo")).toBe(true);
    expect(isKeeper(["/a/bin/node", "/b/tests/lab/keeper.ts", "demo2"], "demo")).toBe(false);
    expect(isKeeper(["vi", "/b/tests/lab/keeper.ts", "demo"], "demo")).toBe(false);
  });
});

describe("the lock", () => {
  const name = `unit-${String(process.pid)}`;

  it("is held by one at a time; the next says whom it waits for and gets it", async () => {
    const order: string[] = [];
    const said: string[] = [];
    let second: Promise<void> = Promise.resolve();
    await locked(
      name,
      "first",
      () => undefined,
      async () => {
        second = locked(
          name,
          "second",
          (text) => said.push(text),
          () => Promise.resolve(void order.push("second")),
        );
        while (said.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
        order.push("first");
      },
    );
    await second;
    expect(order).toEqual(["first", "second"]);
    expect(said).toEqual([`waiting for: first, process ${String(process.pid)}`]);
  });

  it("is given back when the work fails", async () => {
    await expect(
      locked(
        name,
        "failing",
        () => undefined,
        () => Promise.reject(new Error("no")),
      ),
    ).rejects.toThrow("no");
    const server = await take(name, "after");
    expect(server).not.toBeNull();
    server?.close();
  });
});
