import { describe, expect, it } from "vitest";
import type { BuiltImage, Resource } from "@stackctl/protocol";
import { compileHost } from "../compile/compile.ts";
import { secretRefs } from "../compile/secrets.ts";
import type { Cloud } from "../config/model.ts";
import { exampleCloud, exampleRings } from "../testing/example-cloud.ts";
import { recipesOf } from "./images.ts";
import { registryPrimaryOf } from "./registry-name.ts";
import type { CompileContext } from "./service.ts";

const controller = exampleCloud.hosts[0];
if (controller === undefined) throw new Error("no host");
const second = { ...controller.addresses, management: "10.10.0.12" };
const cloud: Cloud = {
  ...exampleCloud,
  hosts: [...exampleCloud.hosts, { ...controller, name: "controller2", addresses: second }],
};
const outside: Cloud = { ...cloud, registry: { name: "images.example:5000", ca: "PEM", user: "lab" } };
const sha = (digit: string): string => `sha256:${digit.repeat(64)}`;

/** Everything is built, under `registryPrimary`. */
function contextOf(which: Cloud, registryPrimary = "controller1"): CompileContext {
  const images = recipesOf(which, new Map()).flatMap(({ name, digest: recipe }): [string, BuiltImage][] => [
    [name, { recipe, id: sha("1"), digest: sha("2") }],
    [`local-${name}`, { recipe, id: sha("1"), digest: null }],
  ]);
  return {
    cloud: which,
    secretVersion: () => 3,
    rebootOrders: new Map(),
    primary: "controller1",
    registryPrimary,
    images: new Map(images),
    imageBuilds: new Map(),
    galera: { uuid: null, looks: new Map() },
    rings: exampleRings,
    certificates: { authority: "authority", registry: "registry" },
  };
}

function compiled(
  host: string,
  context: CompileContext,
  held: readonly string[] = [],
): Map<string, Resource[]> {
  const found = context.cloud.hosts.find(({ name }) => name === host);
  if (found === undefined) throw new Error(host);
  const { documents } = compileHost(found, context, () => "cloud.yaml:1", held);
  return new Map(documents.map(({ service, resources }) => [service, [...resources]]));
}

/** What a container is made with: everything but where its image comes from. */
function madeOf(documents: Map<string, Resource[]>): unknown[] {
  return [...documents.values()]
    .flat()
    .filter((resource) => resource.type === "container")
    .map(({ name, spec }) => ({ name, spec: { ...spec, image: spec.image.id } }));
}

describe("a moved registry", () => {
  it.each(["controller1", "controller2", "compute1"])("makes no container of %s anew", (host) => {
    const before = madeOf(compiled(host, contextOf(cloud)));
    expect(madeOf(compiled(host, contextOf(cloud, "controller2")))).toEqual(before);
    expect(compiled(host, contextOf(cloud, "controller2")).get("docker")).toEqual(
      compiled(host, contextOf(cloud)).get("docker"),
    );
  });

  it("is asked first by everybody, builds the images, and is copied from", () => {
    const moved = contextOf(cloud, "controller2");
    const [hostsFile] = compiled("compute1", moved).get("host")?.slice(1) ?? [];
    if (hostsFile?.type !== "hosts-file") throw new Error("no hosts file");
    expect(
      hostsFile.spec.entries
        .filter(({ names }) => names.includes("registry.demo.internal"))
        .map(({ address }) => address),
    ).toEqual(["10.10.0.12", "10.10.0.11"]);
    expect([...compiled("controller2", moved).keys()]).toEqual(
      expect.arrayContaining(["base-images", "images"]),
    );
    const former = compiled("controller1", moved);
    expect([...former.keys()]).not.toContain("images");
    expect(former.get("registry-mirror")?.[0]?.spec).toMatchObject({
      own: "10.10.0.11",
      from: ["10.10.0.12"],
    });
  });

  it("is again where the primary is once its host is no controller any more", () => {
    expect(registryPrimaryOf(cloud, "controller2", "controller1")).toBe("controller2");
    expect(registryPrimaryOf(cloud, "controller9", "controller1")).toBe("controller1");
    expect(registryPrimaryOf(cloud, "compute1", "controller1")).toBe("controller1");
    expect(registryPrimaryOf(cloud, null, "controller1")).toBe("controller1");
  });
});

describe("an outside registry", () => {
  it("leaves no registry of our own, and its password is only referred to", () => {
    for (const { name } of outside.hosts) {
      const documents = compiled(name, contextOf(outside));
      for (const service of ["base-images", "registry", "registry-mirror"])
        expect(documents.has(service), `${service} on ${name}`).toBe(false);
    }
    const documents = compiled("controller1", contextOf(outside));
    const secrets = secretRefs([...documents.values()].flat()).map(({ secret }) => secret);
    expect(secrets.filter((secret) => secret.startsWith("registry"))).toEqual(["registry-password"]);
    expect(documents.get("docker")?.[0]?.spec).toMatchObject({
      trust: [{ registry: "images.example:5000", ca: "PEM" }],
    });
    expect(JSON.stringify(documents.get("host"))).not.toContain("registry.demo.internal");
  });

  it("is pushed to and pulled from with the login, by digest", () => {
    const documents = compiled("controller1", contextOf(outside));
    const login = { user: "lab", password: { secret: "registry-password", version: 3 } };
    expect(documents.get("images")?.at(-1)?.spec).toMatchObject({
      registry: { name: "images.example:5000", login },
    });
    expect(documents.get("memcached")?.[0]?.spec).toMatchObject({
      image: { pull: { registry: "images.example:5000", digest: sha("2"), login } },
    });
  });

  it("makes no container anew, and takes the former registry away with documents that hold nothing", () => {
    const held = ["base-images", "registry", "registry-mirror"];
    const documents = compiled("controller2", contextOf(outside), held);
    for (const service of held) expect(documents.get(service)).toEqual([]);
    const memcached = (which: Cloud): unknown =>
      madeOf(compiled("controller2", contextOf(which))).find(
        (each) => (each as { name: string }).name === "memcached",
      );
    expect(memcached(outside)).toEqual(memcached(cloud));
  });
});

describe("dockerd's proxy", () => {
  const packages = { ...cloud.packages, proxy: "http://10.10.0.1:3128", proxyUser: "lab" };
  const proxyOf = (which: Cloud, host: string): unknown => {
    const [engine] = compiled(host, contextOf(which)).get("docker") ?? [];
    if (engine?.type !== "docker-engine") throw new Error("no docker");
    return engine.spec.proxy;
  };

  it("is set only where something is pulled from outside: images.base, on every controller", () => {
    const based = { ...cloud, packages, images: { base: "registry.example.org/debian:12" } };
    expect(proxyOf({ ...cloud, packages }, "controller1")).toBeUndefined();
    expect(proxyOf({ ...outside, packages }, "controller1")).toBeUndefined();
    expect(proxyOf({ ...based, packages: cloud.packages }, "controller1")).toBeUndefined();
    expect(proxyOf(based, "compute1")).toBeUndefined();
    expect(proxyOf(based, "controller2")).toEqual(proxyOf(based, "controller1"));
  });

  it("is not asked for the registry, hosts, VIPs and networks of the cloud", () => {
    const based = { ...outside, packages, images: { base: "registry.example.org/debian:12" } };
    expect(proxyOf(based, "controller1")).toMatchObject({
      url: "http://10.10.0.1:3128",
      login: { user: "lab", password: { secret: "packages-proxy-password", version: 3 } },
      direct: expect.arrayContaining([
        ...["images.example", "10.10.0.11", "controller1", "10.10.0.10", "192.168.2.10"],
        ...["10.10.0.0/24", "192.168.2.0/24", "10.10.1.0/24", ".demo.internal"],
      ]) as unknown,
    });
  });
});
