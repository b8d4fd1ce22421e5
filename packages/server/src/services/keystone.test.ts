import type { FileSpec, Resource } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import { compileHost, stepsBefore, type CompiledDocument } from "../compile/compile.ts";
import { secretRefs } from "../compile/secrets.ts";
import type { Cloud } from "../config/model.ts";
import { parseIni } from "../render/ini.ts";
import { exampleCloud, exampleRings } from "../testing/example-cloud.ts";
import { recipesOf } from "./images.ts";
import type { CompileContext } from "./service.ts";

const digest = `sha256:${"ab".repeat(32)}`;
const [controller, compute] = exampleCloud.hosts;
if (controller === undefined || compute === undefined) throw new Error("the example has two hosts");
const cloud: Cloud = {
  ...exampleCloud,
  hosts: [
    controller,
    ...[2, 3].map((n) => ({
      ...controller,
      name: `controller${String(n)}`,
      addresses: { ...controller.addresses, management: `10.10.0.1${String(n)}` },
    })),
    compute,
  ],
};
const context: CompileContext = {
  cloud,
  secretVersion: () => 1,
  rebootOrders: new Map(),
  primary: "controller1",
  registryPrimary: "controller1",
  images: new Map(
    recipesOf(cloud, new Map()).map(({ name, digest: recipe }) => [name, { recipe, id: digest, digest }]),
  ),
  imageBuilds: new Map(),
  galera: { uuid: "ca7ec2de-0000-11f0-8000-000000000001", looks: new Map() },
  rings: exampleRings,
  certificates: { authority: "authority", registry: "registry" },
};

const documentsOf = (name: string): readonly CompiledDocument[] => {
  const host = cloud.hosts.find((each) => each.name === name);
  if (host === undefined) throw new Error(name);
  return compileHost(host, context, (path) => path.join("."), []).documents;
};
const document = (host: string, service: string): CompiledDocument | undefined =>
  documentsOf(host).find((each) => each.service === service);
const resource = (host: string, service: string, name: string): Resource => {
  const found = document(host, service)?.resources.find((each) => each.name === name);
  if (found === undefined) throw new Error(`${host} has no ${name}`);
  return found;
};
const iniOf = (host: string, name: string): ReturnType<typeof parseIni> => {
  const { content } = resource(host, "keystone", name).spec as FileSpec;
  return parseIni(content.map((part) => ("text" in part ? part.text : "PASSWORD")).join(""));
};
const before = (host: string, service: string): string[] => {
  const found = cloud.hosts.find((each) => each.name === host);
  if (found === undefined) throw new Error(host);
  return stepsBefore(service, found, context).map((step) => `${step.service} on ${step.host}`);
};

describe("keystone", () => {
  it("begins nowhere before the keys are on every controller, and on the primary first", () => {
    const keys = ["controller1", "controller2", "controller3"].map((host) => `keystone-keys on ${host}`);
    expect(before("controller1", "keystone")).toEqual(keys);
    expect(before("controller3", "keystone")).toEqual([...keys, "keystone on controller1"]);
  });

  it("has the same rings on every controller, and nothing on a compute", () => {
    const rings = (host: string): unknown => document(host, "keystone-keys")?.resources;
    expect(rings("controller2")).toEqual(rings("controller1"));
    expect(JSON.stringify(rings("controller1"))).toContain('"generation":1');
    expect(documentsOf("compute1").some(({ service }) => service.startsWith("keystone"))).toBe(false);
  });

  it("makes database, schema and admin on the primary, in this order before the API, and nowhere else", () => {
    const types = (host: string): string[] =>
      document(host, "keystone")?.resources.map(({ type }) => type) ?? [];
    expect(types("controller1")).toEqual([
      ...["mysql-database", "mysql-user", "file", "file"],
      ...["container-job", "keystone-bootstrap", "container"],
    ]);
    expect(types("controller2")).toEqual(["file", "file", "container"]);
    expect(document("controller2", "keystone-catalog")).toBeUndefined();
  });

  it("reaches the database at one place from every controller, and gives up on one that is silent", () => {
    const url = iniOf("controller3", "keystone-keystone.conf")["database"]?.["connection"] ?? "";
    expect(url).toBe(iniOf("controller1", "keystone-keystone.conf")["database"]?.["connection"]);
    const { host, pathname, searchParams } = new URL(url);
    expect([host, pathname]).toEqual(["10.10.0.11:3306", "/keystone"]);
    expect(Number(searchParams.get("read_timeout"))).toBeGreaterThan(0);
  });

  it("asks no cache for tokens, and all caches for the rest", () => {
    const { token, cache } = iniOf("controller2", "keystone-keystone.conf");
    expect(token).toMatchObject({ provider: "fernet", caching: "false" });
    expect(cache?.["memcache_servers"]).toBe("10.10.0.11:11211,10.10.0.12:11211,10.10.0.13:11211");
  });

  it("listens on the management address only", () => {
    expect(iniOf("controller2", "keystone-uwsgi.ini")["uwsgi"]?.["http-socket"]).toBe("10.10.0.12:5000");
  });

  it("gives the admin's password to the primary alone", () => {
    const secrets = (host: string): string[] =>
      documentsOf(host).flatMap(({ resources }) => secretRefs(resources).map(({ secret }) => secret));
    expect(secrets("controller1")).toContain("keystone-admin-password");
    expect(secrets("controller2")).not.toContain("keystone-admin-password");
  });

  it("is in its own catalog with three endpoints", () => {
    expect(resource("controller1", "keystone-catalog", "catalog").spec).toMatchObject({
      region: "RegionOne",
      services: [
        {
          type: "identity",
          name: "keystone",
          endpoints: { internal: "http://10.10.0.11:5000/v3", admin: "http://10.10.0.11:5000/v3" },
          user: null,
        },
      ],
    });
  });
});
