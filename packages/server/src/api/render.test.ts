import { StackctlError, type BuiltImage, type RenderView } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import { compileHost } from "../compile/compile.ts";
import { namesOf } from "../compile/names.ts";
import { parseCloud } from "../config/load.ts";
import type { LoadedCloud } from "../config/model.ts";
import type { Planner } from "../run/planner.ts";
import { recipesOf } from "../services/images.ts";
import type { CompileContext } from "../services/service.ts";
import { exampleRings } from "../testing/example-cloud.ts";
import { exampleFile } from "../testing/example-file.ts";
import { renderHost } from "./render.ts";

const id = `sha256:${"ab".repeat(32)}`;

/** A planner as it compiles, with what the server would know beside the file. */
function plannerOf(more: Partial<CompileContext> = {}): Pick<Planner, "compile" | "context"> {
  const context = ({ cloud }: LoadedCloud): CompileContext => ({
    cloud,
    secretVersion: () => 3,
    rebootOrders: new Map(),
    primary: "controller1",
    registryPrimary: "controller1",
    images: new Map(),
    imageBuilds: new Map(),
    galera: { uuid: null, looks: new Map() },
    rings: exampleRings,
    certificates: { authority: "the authority", registry: "the certificate" },
    ...more,
  });
  return {
    context,
    compile: (loaded, host) => compileHost(host, context(loaded), (path) => loaded.origin(path), ["gone"]),
  };
}

/** `value <- origins` of each field of one resource. */
function values({ services }: RenderView, wanted: string): Record<string, string> {
  const found = services.flatMap(({ resources }) => resources).find((resource) => resource.id === wanted);
  return Object.fromEntries(
    (found?.values ?? []).map(({ field, value, origins }) => [
      field,
      `${JSON.stringify(value)} <- ${origins.join(" ")}`,
    ]),
  );
}

const loaded = exampleFile();
const built = new Map<string, BuiltImage>(
  recipesOf(loaded.cloud, new Map()).flatMap(({ name, digest: recipe }) => [
    [name, { recipe, id, digest: id }],
    [`local-${name}`, { recipe, id, digest: null }],
  ]),
);

describe("renderHost", () => {
  it("says of each value the lines that it follows from, be it an address, a name or a part of a URL", () => {
    const view = renderHost(loaded, plannerOf(), "compute1", null);
    expect(values(view, "hostname/hostname")).toEqual({ hostname: '"compute1" <- cloud.yaml:11' });
    expect(values(view, "hosts-file/hosts")).toMatchObject({
      "entries.0.address": '"10.10.0.11" <- cloud.yaml:10',
      "entries.1.names": '["compute1.demo.internal","compute1"] <- cloud.yaml:1 cloud.yaml:11',
    });
    expect(values(view, "chrony/chrony")).toMatchObject({ servers: '["10.10.0.11"] <- cloud.yaml:10' });
    expect(values(view, "apt-proxy/proxy")).toMatchObject({
      url: '"http://10.10.0.1:3128" <- cloud.yaml:15',
      "login.user": '"lab" <- cloud.yaml:15',
    });
  });

  it("names a secret and its version, and says that it is in the vault", () => {
    const view = renderHost(loaded, plannerOf(), "compute1", "host");
    expect(values(view, "apt-proxy/proxy")["login.password"]).toBe(
      '"secret packages-proxy-password version 3" <- vault',
    );
  });

  it("says default of what nobody asked for, whether the file could say it or not", () => {
    const chrony = values(renderHost(loaded, plannerOf(), "controller1", "chrony"), "chrony/chrony");
    expect(chrony["servers"]).toMatch(/ <- default$/);
    expect(chrony["stepThresholdSeconds"]).toBe("1 <- default");
  });

  it("says server of certificates, images and boots, which no line of the file holds", () => {
    const bootId = "8c6b2c1e-7d2a-4c7e-9f64-0d9b1f1d2a3b";
    const planner = plannerOf({ images: built, rebootOrders: new Map([["controller1", bootId]]) });
    const view = renderHost(loaded, planner, "controller1", null);
    expect(values(view, "docker-engine/docker")["trust.0.ca"]).toBe('"the authority" <- server');
    expect(values(view, "container/memcached")["image.id"]).toBe(`"${id}" <- server`);
    expect(values(view, "reboot/first-apply")["notBootId"]).toBe(`"${bootId}" <- server`);
  });

  it("shows a file as its text, with a secret's name where the secret will stand", () => {
    const view = renderHost(loaded, plannerOf({ images: built }), "controller1", "registry");
    expect(values(view, "file/registry-tls.key")["content"]).toBe(
      '"<secret registry-key version 3>" <- vault',
    );
    const config = values(view, "file/registry-config.yml")["content"] ?? "";
    expect(config).toContain("10.10.0.11:4000");
    expect(config).toMatch(/ <- cloud\.yaml:10$/);
  });

  it("says what a service waits for, in its place, and what leaves the host, last", () => {
    const { services } = renderHost(loaded, plannerOf(), "controller1", null);
    expect(
      services.map(({ service, waits, resources }) => `${service} ${waits ?? resources.length.toString()}`),
    ).toEqual([
      "host 3",
      "chrony 1",
      "docker 1",
      "mariadb-data 2",
      "base-images 2",
      "registry image registry is not built yet",
      "images 2",
      "memcached image memcached is not built yet",
      "mariadb image mariadb is not built yet",
      "keystone-keys 3",
      "keystone image keystone is not built yet",
      "keystone-catalog image keystone is not built yet",
      "gone 0",
    ]);
    expect(services.find(({ service }) => service === "memcached")?.needs).toEqual(["docker", "registry"]);
  });

  it("names the services that a host has when it has no part in the one that was asked for", () => {
    const error: unknown = (() => {
      try {
        return renderHost(loaded, plannerOf(), "compute1", "memcached");
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(StackctlError);
    expect(error).toMatchObject({
      code: "service_unknown",
      details: { expected: "one of host, chrony, docker, gone" },
    });
  });

  it("says of what follows from one of very many hosts the line of its resource", () => {
    const more = Array.from(
      { length: 60 },
      (_, index) => `  c${String(index)}: { role: compute, address: 10.10.0.${String(100 + index)} }\n`,
    ).join("");
    const many = parseCloud(
      loaded.text.replace("packages:\n", `${more}packages:\n`),
      "/etc/stackctl/cloud.yaml",
    );
    const hosts = values(renderHost(many, plannerOf(), "c59", "host"), "hosts-file/hosts");
    expect(hosts["entries.0.address"]).toBe('"10.10.0.11" <- cloud.yaml:10');
    expect(hosts["entries.50.address"]).toBe('"10.10.0.148" <- cloud.yaml:7');
    expect(hosts["entries.61.address"]).toBe('"10.10.0.159" <- cloud.yaml:73');
  });
});

describe("namesOf", () => {
  it("names what the documents hold once nothing waits", () => {
    const names = namesOf(loaded);
    const view = renderHost(loaded, plannerOf({ images: built }), "controller1", null);
    expect(names.resources["controller1"]).toEqual(
      view.services.flatMap(({ resources }) => resources.map((resource) => resource.id)),
    );
    expect(names.hosts).toEqual(["controller1", "compute1"]);
    expect(names.services).toEqual(expect.arrayContaining(["chrony", "memcached"]));
  });
});
