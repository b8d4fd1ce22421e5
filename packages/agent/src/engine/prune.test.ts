import { createHash } from "node:crypto";
import { resourceSchema, type PruneRequest, type Resource } from "@stackctl/protocol";
import { expect, it } from "vitest";
import { FakeHost } from "../testing/fake-host.ts";
import { prune } from "./prune.ts";

const hex = (text: string): string => createHash("sha256").update(text).digest("hex");
const sha = (text: string): string => `sha256:${hex(text)}`;
const registry = { name: "registry.demo.internal:4000", address: "10.0.0.1", ca: "PEM" };
const request = (keep: PruneRequest["keep"] = []): PruneRequest => ({ kind: "prune", registry, keep });

/** A container of version `tag` of `name`, pulled. */
function container(name: string, tag: string): Resource {
  return resourceSchema.parse({
    type: "container",
    name,
    spec: {
      image: {
        id: sha(`${name} ${tag} id`),
        pull: { registry: registry.name, name, digest: sha(`${name} ${tag}`), login: null },
      },
      command: ["x"],
      user: "1:1",
      mounts: [],
      tmpfs: [],
      capabilities: [],
      environment: {},
      configuration: [],
      requires: [],
      stopSeconds: 1,
      ready: null,
      cluster: null,
    },
  });
}

function mirror(name: string, tag: string): Resource {
  const images = [{ name, tag: hex(tag), digest: sha(`${name} ${tag}`) }];
  const spec = { registry: registry.name, ca: "PEM", own: "10.0.0.1", from: ["10.0.0.2"], images };
  return resourceSchema.parse({ type: "registry-mirror", name: "images", spec });
}

/** A host with these versions of `cache` in its registry and in docker. */
function hostWith(...tags: string[]): FakeHost {
  const host = new FakeHost();
  for (const tag of tags) {
    const image = { digest: sha(`cache ${tag}`), id: sha(`cache ${tag} id`), sizeBytes: 500 };
    host.registryImages.set(`10.0.0.1/cache:${hex(tag)}`, image);
    host.ownImages.push({ id: image.id, recipe: hex(tag), references: [`r/cache:${tag}`, `r/cache@${tag}`] });
  }
  return host;
}

const stored = (host: FakeHost): string[] => [...host.registryImages.values()].map(({ digest }) => digest);

it("takes away what no document names, from docker and the registry, and says how much room that made", async () => {
  const host = hostWith("one", "two", "three");
  const answer = await prune(host, [container("cache", "three"), mirror("cache", "three")], request());
  expect(stored(host)).toEqual([sha("cache three")]);
  expect(host.ownImages.map(({ id }) => id)).toEqual([sha("cache three id")]);
  expect(answer).toMatchObject({ freedBytes: { registry: 1000, docker: 2000 }, why: null });
  expect(answer.removed).toHaveLength(4);
});

it("does nothing the second time but look for garbage", async () => {
  const host = hostWith("one", "two");
  const documents = [container("cache", "two")];
  await prune(host, documents, request());
  const again = await prune(host, documents, request());
  expect(again).toEqual({ removed: [], freedBytes: { docker: 0, registry: 0 }, why: null });
});

it("keeps in the registry what there is to go back to, and what others run", async () => {
  const host = hostWith("one", "two", "three");
  await prune(host, [mirror("cache", "three")], request([{ name: "cache", digest: sha("cache two") }]));
  expect(stored(host)).toEqual([sha("cache two"), sha("cache three")]);
});

it("keeps what a host is to build by its recipe, before its digest is known to anybody", async () => {
  const host = hostWith("one", "two");
  const recipe = { name: "cache", digest: hex("two"), from: { kind: "debootstrap", suite: "bookworm" } };
  const images = [{ ...recipe, users: [], packages: [], remove: [], build: 0 }];
  const spec = { registry: null, mirror: null, proxy: null, images };
  await prune(host, [resourceSchema.parse({ type: "image-set", name: "images", spec })], request());
  expect(stored(host)).toEqual([sha("cache two")]);
  expect(host.ownImages.map(({ id }) => id)).toEqual([sha("cache two id")]);
});

it("never takes an image away that a container is made of, whoever made that", async () => {
  const host = hostWith("one");
  const id = sha("cache one id");
  host.imageIds.add(id);
  await host.docker.create("mine", {
    image: id,
    command: ["x"],
    user: "1:1",
    mounts: [],
    tmpfs: [],
    capabilities: [],
    environment: {},
    labels: {},
  });
  const answer = await prune(host, [], { registry: null, keep: [] });
  expect(host.imageIds.has(id)).toBe(true);
  expect(answer.removed).toEqual([]);
});

it("takes away no manifest one of whose tags is named", async () => {
  const host = hostWith("one", "two");
  const twin = host.registryImages.get(`10.0.0.1/cache:${hex("two")}`);
  if (twin === undefined) throw new Error("no image");
  host.registryImages.set("10.0.0.1/cache:other", twin);
  await prune(host, [mirror("cache", "two")], request());
  expect(host.registryImages.size).toBe(2);
});

it("leaves a registry that is not this host's alone, and says what it could not do", async () => {
  const host = hostWith("one");
  await prune(host, [], { registry: null, keep: [] });
  expect(stored(host)).toHaveLength(1);
  host.failOn = "images.collectGarbage";
  expect(await prune(host, [], request())).toMatchObject({
    why: expect.stringContaining("injected") as string,
  });
});
