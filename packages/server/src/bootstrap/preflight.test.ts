import { StackctlError, type Facts } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import { exampleCloud } from "../testing/example-cloud.ts";
import { judge, namesNeeded, unreachableRow, type Look } from "./preflight.ts";

const [controller, compute] = exampleCloud.hosts;
if (controller === undefined || compute === undefined) throw new Error("the example has no hosts");
const now = Date.parse("2026-01-01T00:00:00.000Z");
const nic = (
  name: string,
  address: string,
  more: Partial<Facts["nics"][number]> = {},
): Facts["nics"][number] => ({
  name,
  addresses: [address],
  up: true,
  mtu: 1500,
  speedMbps: 10_000,
  ...more,
});
const cluster = "6f1c1a1e-3a52-4e0e-8a55-0f6b0d5b9d11";
const look = (facts: Partial<Facts> = {}, more: Partial<Look> = {}): Look => ({
  facts: { ...good, ...facts },
  packagesProblem: null,
  serverTimeMs: now,
  via: "ssh",
  cluster,
  ...more,
});
const good: Facts = {
  hostname: "x",
  bootId: "8c6b2c1e-7d2a-4c7e-9f64-0d9b1f1d2a3b",
  os: { id: "debian", version: "12" },
  architecture: "x86_64",
  cores: 8,
  memoryMiB: 16_000,
  disk: { totalMiB: 100_000, freeMiB: 80_000 },
  nics: [nic("eth0", "10.10.0.11"), nic("eth1", "192.168.2.11"), nic("eth2", "10.10.1.11")],
  disks: [
    { name: "sda", sizeMiB: 100_000, empty: false },
    { name: "sdb", sizeMiB: 900_000, empty: true },
  ],
  timeMs: now + 200,
  time: { client: "chrony", synchronised: true, source: "10.10.0.1", offsetMs: 0.4 },
  unresolved: [],
  listeners: [],
  leftovers: [],
  agentOf: null,
  kvm: { usable: true, why: "vmx", extension: "vmx", nested: true, guest: false },
};
const onCompute: Facts = {
  ...good,
  nics: [nic("eth0", "10.10.0.14"), ...good.nics.slice(1)],
};
const problems = (facts: Partial<Facts>, packages: string | null = null): string[] =>
  judge(controller, exampleCloud, look(facts, { packagesProblem: packages })).problems.map(
    ({ severity, text }) => `${severity}: ${text}`,
  );

function listener(more: Partial<Facts["listeners"][number]>): Facts["listeners"][number] {
  return { port: 11_211, address: "0.0.0.0", process: "x", container: null, ours: false, ...more };
}

describe("namesNeeded", () => {
  const names = (host: typeof controller, packages: Partial<typeof exampleCloud.packages>): string[] =>
    namesNeeded(host, { ...exampleCloud, packages: { ...exampleCloud.packages, ...packages } }).map(
      ({ name }) => name,
    );

  it("are those that the host itself resolves", () => {
    const mirror = "http://deb.example.org:8080/debian";
    expect(names(controller, { mirror })).toEqual(["deb.example.org", "ntp.example.org"]);
    expect(names(compute, { mirror })).toEqual(["deb.example.org"]);
    expect(names(compute, { mirror, proxy: "http://proxy.example.org:3128" })).toEqual(["proxy.example.org"]);
    expect(names(compute, { mirror: "http://10.0.0.1/debian" })).toEqual([]);
  });
});

describe("judge", () => {
  it("finds nothing wrong with a good host", () => {
    const row = judge(controller, exampleCloud, look({}, { via: "agent" }));
    expect(row).toMatchObject({
      problems: [],
      os: "debian 12",
      nics: "3/3",
      kvm: "-",
      clockSeconds: 0.2,
      packages: "ok",
      time: "chrony",
      disks: { empty: 1, all: 2 },
    });
    expect(judge(compute, exampleCloud, look(onCompute))).toMatchObject({
      problems: [],
      kvm: "yes, vmx",
    });
  });

  it.each([
    [
      "Debian 11",
      { os: { id: "debian", version: "11" } },
      "error: controller1: debian 11 found, debian 12 needed",
    ],
    ["another machine", { architecture: "aarch64" }, "error: controller1: aarch64 found, x86_64 needed"],
    [
      "a missing NIC",
      { nics: good.nics.slice(0, 2) },
      "error: controller1: has no NIC eth2 for the data network; it has eth0, eth1",
    ],
    [
      "another address",
      { nics: [nic("eth0", "10.10.0.99"), ...good.nics.slice(1)] },
      "error: controller1: eth0 has 10.10.0.99, the file says 10.10.0.11",
    ],
    [
      "too little memory",
      { memoryMiB: 1000 },
      "error: controller1: 1000 MiB of memory, at least 1500 needed",
    ],
    [
      "little memory",
      { memoryMiB: 2000 },
      "warning: controller1: 2000 MiB of memory, a controller wants 3500",
    ],
    [
      "a full disk",
      { disk: { totalMiB: 9000, freeMiB: 1024 } },
      "error: controller1: 1.0 GiB free on /var/lib, at least 3.0 GiB needed",
    ],
    [
      "little room",
      { disk: { totalMiB: 9000, freeMiB: 5120 } },
      "warning: controller1: 5.0 GiB free on /var/lib, 10.0 GiB are better",
    ],
    [
      "a chrony that follows nobody",
      { time: { client: "chrony", synchronised: false, source: null, offsetMs: null } },
      "warning: controller1: chrony follows no server yet",
    ],
    [
      "a clock far from its server's",
      { time: { client: "ntpsec", synchronised: true, source: "ntp1", offsetMs: -2500 } },
      "warning: controller1: its clock is 2.5 s from ntp1",
    ],
    [
      "a name that does not resolve",
      { unresolved: ["ntp.example.org"] },
      "warning: controller1: does not resolve ntp.example.org, the time server",
    ],
    [
      "a port that another process has",
      { listeners: [listener({ process: "memcached" })] },
      "error: controller1: port 11211, which memcached needs, is taken by memcached",
    ],
    [
      "a port that a container of others has",
      { listeners: [listener({ port: 4000, container: "web", process: "node" })] },
      "error: controller1: port 4000, which registry needs, is taken by node in container web",
    ],
    [
      "a slow NIC",
      {
        nics: [
          good.nics[0] ?? nic("eth0", ""),
          nic("eth1", "192.168.2.11", { speedMbps: 100 }),
          nic("eth2", "10.10.1.11"),
        ],
      },
      "warning: controller1: eth1 (public) runs at 100 Mbit/s",
    ],
    [
      "a small MTU",
      { nics: [...good.nics.slice(0, 2), nic("eth2", "10.10.1.11", { mtu: 1400 })] },
      "warning: controller1: eth2 (data) has an MTU of 1400, 1500 or more are needed",
    ],
    [
      "another docker",
      { leftovers: [{ what: "docker", detail: "docker-ce 5:24.0.7", running: false }] },
      "error: controller1: has a docker that is not Debian's, and the two cannot be there together (docker-ce 5:24.0.7)",
    ],
    [
      "kolla at work",
      { leftovers: [{ what: "kolla", detail: "/etc/kolla, container kolla_toolbox", running: true }] },
      "error: controller1: has remains of kolla (/etc/kolla, container kolla_toolbox)",
    ],
    [
      "what kolla left",
      { leftovers: [{ what: "kolla", detail: "/etc/kolla", running: false }] },
      "warning: controller1: has remains of kolla (/etc/kolla)",
    ],
    [
      "a salt minion",
      { leftovers: [{ what: "salt", detail: "salt-minion.service", running: true }] },
      "warning: controller1: salt is here too, and each would undo what the other does (salt-minion.service)",
    ],
    [
      "an agent of another cloud",
      { agentOf: "00000000-3a52-4e0e-8a55-0f6b0d5b9d11" },
      "error: controller1: belongs to another cloud of stackctl (00000000-3a52-4e0e-8a55-0f6b0d5b9d11)",
    ],
    ["a wrong clock", { timeMs: now - 90_000 }, "warning: controller1: its clock is off by -90 s"],
  ] satisfies [string, Partial<Facts>, string][])(
    "says of %s what was found and what is needed",
    (_name, facts, text) => {
      expect(problems(facts)).toEqual([text]);
    },
  );

  it("does not mind ports of ours, of loopback, of a compute, or of a container while docker is silent", () => {
    expect(problems({ listeners: [listener({ ours: true }), listener({ address: "127.0.0.1" })] })).toEqual(
      [],
    );
    expect(problems({ listeners: [listener({ ours: null })] })).toEqual([]);
    const listeners = [listener({})];
    expect(judge(compute, exampleCloud, look({ ...onCompute, listeners })).problems).toEqual([]);
    const registry = { name: "registry.example.org:5000", ca: null, user: null };
    const taken = look({ listeners: [listener({ port: 4000 })] });
    expect(judge(controller, { ...exampleCloud, registry }, taken).problems).toEqual([]);
  });

  it("takes OpenStack's packages for ours on a host of this cloud only, and its own agent for no stranger", () => {
    const leftovers = [{ what: "openstack", detail: "nova-compute.service", running: true }];
    expect(problems({ leftovers, agentOf: cluster })).toEqual([]);
    expect(problems({ leftovers })).toHaveLength(1);
  });

  it("gives every problem a remedy that names the host or the key to mend", () => {
    const leftovers = [
      "docker",
      "containers",
      "kolla",
      "kubernetes",
      "openstack",
      "salt",
      "puppet",
      "chef",
      "cfengine",
    ].map((what) => ({ what, detail: "x", running: true }));
    const row = judge(controller, exampleCloud, look({ leftovers, unresolved: ["ntp.example.org"] }));
    expect(row.problems).toHaveLength(leftovers.length + 1);
    for (const { remedy } of row.problems) expect(remedy).toMatch(/controller1|cloud\.yaml/);
  });

  it("says that packages are not reached", () => {
    expect(problems({}, "the proxy refuses the password")).toEqual([
      "error: controller1: the proxy refuses the password",
    ]);
  });

  it("says that guests of a compute without kvm are slow, and why", () => {
    const row = judge(
      compute,
      exampleCloud,
      look({ ...onCompute, kvm: { ...good.kvm, usable: false, why: "no /dev/kvm" } }),
    );
    expect(row).toMatchObject({ kvm: "no: no /dev/kvm", problems: [{ severity: "warning" }] });
  });

  it("tells several problems at once", () => {
    expect(problems({ os: { id: "ubuntu", version: "24.04" }, memoryMiB: 100 })).toHaveLength(2);
  });
});

describe("unreachableRow", () => {
  it("keeps the sentence and the remedy", () => {
    const error = new StackctlError("host_key_changed", "controller1: host key changed", {
      details: { remedy: "do this" },
    });
    expect(unreachableRow(controller, error)).toMatchObject({
      ssh: "FAIL",
      problems: [{ text: "controller1: host key changed", remedy: "do this" }],
    });
  });
});
