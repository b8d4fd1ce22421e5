import { StackctlError, type Facts } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import { exampleCloud } from "../testing/example-cloud.ts";
import { judge, unreachableRow } from "./preflight.ts";

const [controller, compute] = exampleCloud.hosts;
if (controller === undefined || compute === undefined) throw new Error("the example has no hosts");
const now = Date.parse("2026-01-01T00:00:00.000Z");
const good: Facts = {
  hostname: "x",
  bootId: "8c6b2c1e-7d2a-4c7e-9f64-0d9b1f1d2a3b",
  os: { id: "debian", version: "12" },
  architecture: "x86_64",
  cores: 8,
  memoryMiB: 16_000,
  disk: { totalMiB: 100_000, freeMiB: 80_000 },
  nics: [
    { name: "eth0", addresses: ["10.10.0.11"], up: true },
    { name: "eth1", addresses: ["192.168.2.11"], up: true },
    { name: "eth2", addresses: ["10.10.1.11"], up: true },
  ],
  timeMs: now + 200,
  kvm: { usable: true, why: "vmx" },
};
const onCompute: Facts = {
  ...good,
  nics: [{ name: "eth0", addresses: ["10.10.0.14"], up: true }, ...good.nics.slice(1)],
};
const problems = (facts: Partial<Facts>, packages: string | null = null): string[] =>
  judge(controller, exampleCloud, { ...good, ...facts }, packages, now, "ssh").problems.map(
    ({ severity, text }) => `${severity}: ${text}`,
  );

describe("judge", () => {
  it("finds nothing wrong with a good host", () => {
    const row = judge(controller, exampleCloud, good, null, now, "agent");
    expect(row).toMatchObject({
      problems: [],
      os: "debian 12",
      nics: "3/3",
      kvm: "-",
      clockSeconds: 0.2,
      packages: "ok",
    });
    expect(judge(compute, exampleCloud, onCompute, null, now, "ssh")).toMatchObject({
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
      { nics: [{ name: "eth0", addresses: ["10.10.0.99"], up: true }, ...good.nics.slice(1)] },
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
    ["a wrong clock", { timeMs: now - 90_000 }, "warning: controller1: its clock is off by -90 s"],
  ] satisfies [string, Partial<Facts>, string][])(
    "says of %s what was found and what is needed",
    (_name, facts, text) => {
      expect(problems(facts)).toEqual([text]);
    },
  );

  it("says that packages are not reached", () => {
    expect(problems({}, "the proxy refuses the password")).toEqual([
      "error: controller1: the proxy refuses the password",
    ]);
  });

  it("says that guests of a compute without kvm are slow, and why", () => {
    const row = judge(
      compute,
      exampleCloud,
      { ...onCompute, kvm: { usable: false, why: "no /dev/kvm" } },
      null,
      now,
      "ssh",
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
