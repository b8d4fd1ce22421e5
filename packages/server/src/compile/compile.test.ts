import { describe, expect, it } from "vitest";
import type { Cloud } from "../config/model.ts";
import { exampleCloud, exampleRings } from "../testing/example-cloud.ts";
import type { CompileContext } from "../services/service.ts";
import { compileHost, stepsOf } from "./compile.ts";
import { secretRefs } from "./secrets.ts";

const context = (
  cloud: Cloud = exampleCloud,
  reboots: [string, string][] = [],
  images: CompileContext["images"] = new Map(),
): CompileContext => ({
  cloud,
  secretVersion: () => 3,
  rebootOrders: new Map(reboots),
  primary: "controller1",
  registryPrimary: "controller1",
  images,
  imageBuilds: new Map(),
  galera: { uuid: null, looks: new Map() },
  rings: exampleRings,
  certificates: { authority: "authority", registry: "registry" },
});
const origin = (path: readonly string[]): string => path.join(".");
const host = (name: string): Cloud["hosts"][number] => {
  const found = exampleCloud.hosts.find((each) => each.name === name);
  if (found === undefined) throw new Error(name);
  return found;
};
const bootId = "8c6b2c1e-7d2a-4c7e-9f64-0d9b1f1d2a3b";

describe("compileHost", () => {
  it("compiles twice to the same digests", () => {
    const once = compileHost(host("compute1"), context(), origin, []);
    expect(compileHost(host("compute1"), context(), origin, [])).toEqual(once);
  });

  it("lets controllers follow the file's time servers and computes follow the controllers", () => {
    const chrony = (name: string): unknown =>
      compileHost(host(name), context(), origin, []).documents.find(({ service }) => service === "chrony")
        ?.resources[0]?.spec;
    expect(chrony("controller1")).toEqual({
      servers: ["ntp.example.org"],
      allow: ["10.10.0.0/24"],
      stepThresholdSeconds: 1,
    });
    expect(chrony("compute1")).toEqual({ servers: ["10.10.0.11"], allow: [], stepThresholdSeconds: 1 });
  });

  it("changes only the documents that hold what was changed", () => {
    const digests = (cloud: Cloud): string[] =>
      compileHost(host("compute1"), context(cloud), origin, []).documents.map(({ digest }) => digest);
    const [hostBefore, chronyBefore] = digests(exampleCloud);
    const proxied = {
      ...exampleCloud,
      packages: { ...exampleCloud.packages, proxy: "http://10.10.0.1:3128", proxyUser: "lab" },
    };
    const [hostAfter, chronyAfter] = digests(proxied);
    expect(hostAfter).not.toBe(hostBefore);
    expect(chronyAfter).toBe(chronyBefore);
  });

  it("names the proxy's password and never holds it", () => {
    const proxied = {
      ...exampleCloud,
      packages: { ...exampleCloud.packages, proxy: "http://10.10.0.1:3128", proxyUser: "lab" },
    };
    const { documents } = compileHost(host("compute1"), context(proxied), origin, []);
    expect(documents.flatMap(({ resources }) => secretRefs(resources))).toEqual([
      { secret: "packages-proxy-password", version: 3 },
    ]);
  });

  it("orders the restart only of hosts that were ordered to, and never when the file says never", () => {
    const names = (cloud: Cloud, reboots: [string, string][]): string[] =>
      compileHost(host("compute1"), context(cloud, reboots), origin, []).documents.map(
        ({ service }) => service,
      );
    expect(names(exampleCloud, [])).toEqual(["host", "chrony", "docker"]);
    expect(names(exampleCloud, [["compute1", bootId]])).toEqual(["host", "chrony", "docker", "reboot"]);
    expect(names({ ...exampleCloud, reboot: "never" }, [["compute1", bootId]])).toEqual([
      "host",
      "chrony",
      "docker",
    ]);
  });

  it("takes away what the cloud does not ask for any more, last", () => {
    const compiled = compileHost(host("compute1"), context(), origin, ["host", "gone"]);
    expect(compiled.documents.at(-1)).toMatchObject({ service: "gone", resources: [] });
    expect(stepsOf(exampleCloud, new Map([["compute1", compiled]])).map(({ service }) => service)).toEqual([
      "host",
      "chrony",
      "docker",
      "gone",
    ]);
  });
});
