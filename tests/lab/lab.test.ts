import { describe, expect, it } from "vitest";
import { address, bridgeName, linkName, networkNames, type Lab } from "./lab.ts";
import { squidConfiguration } from "./services.ts";
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

  it("refuses a name that would not fit, and a network that holds no five hosts", () => {
    expect(() => labOf({ ...wish, name: "Not Good" })).toThrow("no name for a lab");
    expect(() => address("10.0.0.0/29", 11)).toThrow("no network");
    expect(address("10.0.255.0/22", 300)).toBe("10.1.0.44");
  });

  it("names interfaces that the kernel takes, and others for another lab", () => {
    const names = networkNames.flatMap((network) => [
      bridgeName("a-long-lab-name", network),
      linkName("a-long-lab-name", 12, network),
    ]);
    for (const name of names) expect(name.length).toBeLessThanOrEqual(15);
    expect(bridgeName("a", "data")).not.toBe(bridgeName("b", "data"));
  });
});

describe("squid", () => {
  it("lets a lab with proxy in by password only, and one without by its mirror only", () => {
    const proxied = labOf(wish);
    const mirrored: Lab = labOf({ ...wish, name: "other", management: "10.20.0.0/24", proxy: false });
    const text = squidConfiguration([proxied, mirrored]);
    expect(text).toContain("http_port 10.10.0.1:3128 name=proxy_demo");
    expect(text).toContain("http_access allow at_demo user_demo");
    expect(text).toContain("http_port 10.20.0.1:3142 accel");
    expect(
      text
        .split("\n")
        .filter((line) => line.startsWith("http_access"))
        .at(-1),
    ).toBe("http_access deny all");
  });
});
