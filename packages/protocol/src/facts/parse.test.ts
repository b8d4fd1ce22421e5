import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { facts } from "./facts.ts";
import { parseFacts } from "./parse.ts";
import { factsMark, factsQuestions, type FactsQuestion } from "./questions.ts";

const fixture = (name: string): string =>
  readFileSync(join(import.meta.dirname, "fixtures", `${name}.txt`), "utf8");
/** A fixture with one answer put in place of its own. */
const answering = (question: FactsQuestion, answer: string): ReturnType<typeof parseFacts> => {
  const sections = fixture("lab-host").split(`${factsMark}\n`);
  sections[factsQuestions.indexOf(question)] = `${answer}\n\n`;
  return parseFacts(sections.join(`${factsMark}\n`));
};

describe("parseFacts", () => {
  it("reads a host of the lab, where /sys is the machine's", () => {
    const found = parseFacts(fixture("lab-host"));
    expect(facts.parse(found)).toEqual(found);
    expect(found).toMatchObject({
      hostname: "compute1",
      os: { id: "debian", version: "12" },
      cores: 2,
      disks: [{ name: "vda", sizeMiB: 262_144, empty: false }],
      time: { client: null, synchronised: null },
      unresolved: ["deb.example.invalid"],
      listeners: [],
      leftovers: [],
      agentOf: "c96bffe6-9fcc-438c-956c-cf0d8ef4624a",
      kvm: { usable: true, why: "by /dev/kvm", guest: true },
    });
    expect(found.nics[0]).toEqual({
      name: "eth0",
      addresses: ["10.41.0.12"],
      up: true,
      mtu: 1500,
      speedMbps: null,
    });
  });

  it("reads a host that others have been at", () => {
    const found = parseFacts(fixture("occupied-host"));
    expect(facts.parse(found)).toEqual(found);
    expect(found.disks.filter(({ empty }) => empty)).toEqual([
      { name: "sdb", sizeMiB: 1_831_420, empty: true },
    ]);
    expect(found.disks).toHaveLength(3);
    expect(found.nics.map(({ mtu, speedMbps }) => [mtu, speedMbps])).toEqual([
      [1500, 10_000],
      [1500, null],
      [9000, null],
    ]);
    expect(found.time).toEqual({
      client: "ntpsec",
      synchronised: true,
      source: "192.0.2.8",
      offsetMs: -2.25,
    });
    expect(found.listeners).toEqual([
      { port: 11_211, address: "0.0.0.0", process: "memcached", container: null, ours: false },
      { port: 4000, address: "10.41.0.12", process: "docker-registry", container: "registry", ours: true },
      { port: 4000, address: "[::]", process: "node", container: "web", ours: false },
    ]);
    expect(found.leftovers).toEqual([
      { what: "docker", detail: "docker-ce 5:24.0.7-1~debian.12~bookworm", running: false },
      { what: "openstack", detail: "nova-common 2:26.1.0-4, nova-compute.service", running: true },
      { what: "salt", detail: "salt-minion.service", running: true },
      { what: "kolla", detail: "/etc/kolla, container kolla_toolbox", running: false },
      { what: "containers", detail: "container web", running: true },
    ]);
    expect(found.kvm).toEqual({ usable: true, why: "vmx", extension: "vmx", nested: true, guest: false });
  });

  it.each([
    [
      "chrony that follows",
      "client chrony\n0A290001,10.41.0.1,9,1795577000.1,0.000250000,-0.0001,0.0002,1.2,0.0,0.1,0.0003,0.0004,64.2,Normal",
      { client: "chrony", synchronised: true, source: "10.41.0.1", offsetMs: -0.25 },
    ],
    [
      "chrony that follows nobody",
      "client chrony\n7F7F0101,,0,0.000000000,0.000000000,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised",
      { client: "chrony", synchronised: false, source: null, offsetMs: null },
    ],
    [
      "timesyncd",
      "client systemd-timesyncd\n       Server: 192.0.2.1 (0.debian.pool.ntp.org)\n       Offset: +1.500ms\nNTPSynchronized=yes",
      { client: "timesyncd", synchronised: true, source: "192.0.2.1", offsetMs: -1.5 },
    ],
    [
      "a client that does not say",
      "client openntpd",
      { client: "openntpd", synchronised: null, source: null, offsetMs: null },
    ],
  ])("reads the time of %s", (_name, answer, time) => {
    expect(answering("clock", answer).time).toEqual(time);
  });

  it.each([
    ["device\nvmx", { usable: false, why: "/dev/kvm does not open" }],
    ["svm", { usable: false, why: "there is no /dev/kvm", extension: "svm" }],
    ["", { usable: false, why: "vmx or svm is off in its firmware" }],
    ["hypervisor", { usable: false, why: "this virtual machine is given no vmx or svm" }],
  ])("says why there is no kvm: %j", (answer, kvm) => {
    expect(answering("kvm", answer).kvm).toMatchObject(kvm);
  });

  it("does not know whose a container is while docker is silent", () => {
    const listener = `LISTEN 0 1 *:4000 *:* users:(("x",pid=9,fd=1))\ncgroup 9 0::/docker/${"d".repeat(64)} `;
    expect(answering("listeners", listener).listeners).toMatchObject([{ container: null, ours: null }]);
  });

  it.each(["cores", "memory", "disk", "time"] as const)("refuses an answer that is none: %s", (question) => {
    expect(() => answering(question, "")).toThrow(/is no number/);
  });
});
