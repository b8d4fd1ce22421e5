import type { Resource } from "@stackctl/protocol";
import { expect, it } from "vitest";
import { logHosts } from "./log-hosts.ts";

const resource = (type: Resource["type"], name: string): Resource =>
  ({ type, name, spec: {} }) as unknown as Resource;
const common = [
  { service: "host", resources: [resource("hostname", "hostname")] },
  { service: "chrony", resources: [resource("chrony", "chrony")] },
];
const cache = { service: "memcached", resources: [resource("container", "memcached")] };
const enrolled = [
  { host: "controller1", documents: [...common, cache] },
  { host: "controller2", documents: [...common, cache] },
  { host: "compute1", documents: common },
];
const named = ["controller1", "controller2", "compute1", "compute2"];
const of = (service: string, host: string | null = null): string[] =>
  logHosts(service, host, enrolled, named);

it("are all that have the service, or the one that was named", () => {
  expect(of("memcached")).toEqual(["controller1", "controller2"]);
  expect(of("memcached", "controller2")).toEqual(["controller2"]);
  expect(of("agent")).toEqual(["controller1", "controller2", "compute1"]);
});

it.each([
  ["memcachd", null, "service_unknown", "no host has a service memcachd", "one of chrony, memcached, agent"],
  ["host", null, "service_unknown", "host writes no log of its own", "one of chrony, memcached, agent"],
  [
    "memcached",
    "compute1",
    "service_unknown",
    "compute1 has no memcached",
    "one of controller1, controller2",
  ],
  ["memcached", "compute9", "host_unknown", "there is no host compute9", `one of ${named.join(", ")}`],
  ["chrony", "compute2", "agent_unreachable", "compute2 is not set up yet", undefined],
])("of %s on %s is told with what there is", (service, host, code, message, expected) => {
  expect(() => of(service, host)).toThrow(
    expect.objectContaining({
      code,
      message,
      details: expect.objectContaining(expected === undefined ? {} : { expected }) as object,
    }) as Error,
  );
});
