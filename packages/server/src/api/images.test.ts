import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { documentDigest, type Resource } from "@stackctl/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Cloud, LoadedCloud } from "../config/model.ts";
import { recipesOf } from "../services/images.ts";
import type { Decision } from "../store/changes.ts";
import { Store } from "../store/store.ts";
import { exampleCloud } from "../testing/example-cloud.ts";
import {
  buildImages,
  imageListOf,
  keptImages,
  moveRegistry,
  pruneImages,
  type ImagesOptions,
} from "./images.ts";

const [controller, compute] = exampleCloud.hosts;
if (controller === undefined || compute === undefined) throw new Error("no hosts");
const cloud: Cloud = {
  ...exampleCloud,
  hosts: [controller, { ...controller, name: "controller2" }, compute],
};
const loaded: LoadedCloud = { cloud, text: "x", file: "/x/cloud.yaml", origin: () => "cloud.yaml:1" };
const sha = (digit: string): string => `sha256:${digit.repeat(64)}`;
const recipeOf = (name: string, builds = new Map<string, number>()): string =>
  recipesOf(cloud, builds).find((each) => each.name === name)?.digest ?? "";

let folder: string;
let store: Store;
/** What hosts were asked, as `host kind`. */
let asked: string[];
let started: { scope: unknown; first: readonly Decision[] }[];
let answers: Record<string, unknown>;
let underWay: boolean;
let present: Set<string>;
let held: string | null;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "images-"));
  store = new Store(join(folder, "a.db"));
  asked = [];
  started = [];
  answers = {};
  underWay = false;
  present = new Set(cloud.hosts.map(({ name }) => name));
  held = null;
  for (const { name } of cloud.hosts)
    store.decide("t", {
      ...{ type: "host.enrolled", host: name, incarnation: 1, nkey: "U", eventKey: "e", sealKey: "s" },
      ...{ release: "r", bootId: "b", run: 1 },
    });
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true, force: true });
});

const options = (): ImagesOptions => ({
  store,
  fleet: { presence: (host) => ({ state: present.has(host) ? "ok" : "absent", sinceMs: 0, status: null }) },
  holds: { why: () => held, covering: () => null },
  planner: {
    compile: () => ({ documents: [body("registry-mirror", [mirror("1")])], waiting: new Map() }),
  },
  runs: {
    underWay: () => underWay,
    start: (scope, _loaded, _cause, _by, first) => {
      started.push({ scope, first: first ?? [] });
      return { runId: 7, joined: false };
    },
  },
  questions: {
    ask: (host, request) => {
      asked.push(`${host} ${request.kind}`);
      return Promise.resolve(answers[request.kind]);
    },
  },
  authority: () => "PEM",
});

function mirror(digit: string): Resource {
  const images = [{ name: "memcached", tag: digit.repeat(64), digest: sha(digit) }];
  const spec = { registry: "r:4000", ca: "PEM", own: "10.0.0.2", from: ["10.0.0.1"], images };
  return { type: "registry-mirror", name: "images", spec };
}

function container(id: string, digest: string): Resource {
  const image = { id, pull: { registry: "r:4000", name: "memcached", digest, login: null } };
  const none = { mounts: [], tmpfs: [], capabilities: [], environment: {}, configuration: [], requires: [] };
  const spec = { image, command: ["x"], user: "1:1", ...none, stopSeconds: 1, ready: null, cluster: null };
  return { type: "container", name: "memcached", spec };
}

function body(
  service: string,
  resources: readonly Resource[],
): {
  service: string;
  digest: string;
  needs: string[];
  resources: Resource[];
  origins: Record<string, string>;
} {
  const digest = documentDigest(service, [], [...resources]);
  return { service, digest, needs: [], resources: [...resources], origins: {} };
}

let seq = 0;
/** A document that its host has made true. */
function issue(host: string, service: string, ...resources: Resource[]): void {
  seq += 1;
  const document = body(service, resources);
  store.decide("t", {
    type: "document.issued",
    ...{ host, service, incarnation: 1, seq, run: 1 },
    body: { ...document, sealed: [], cause: { kind: "run", text: "x" } },
  });
  store.takeIn({ host, incarnation: 1, n: seq }, [], {
    ...{ host, service, incarnation: 1, seq, digest: document.digest, outcome: "changed", seconds: 1 },
    resources: [],
  });
}

function built(name: string, digit: string, recipe = recipeOf(name)): void {
  const image = { name, recipe, id: sha(digit), digest: sha(digit), sizeBytes: 5 };
  store.decide("server", { type: "image.built", ...image });
}

describe("the list of images", () => {
  it("says of each where it is, since when, and what runs on it", () => {
    built("memcached", "1");
    issue("controller2", "registry-mirror", mirror("1"));
    issue("controller2", "memcached", container(sha("1"), sha("1")));
    const { registry, images } = imageListOf(cloud, store);
    expect(registry).toMatchObject({ primary: "controller1", outside: false });
    expect(images.find(({ name }) => name === "memcached")).toMatchObject({
      state: "built",
      sizeBytes: 5,
      digest: sha("1"),
      registries: ["controller2"],
      usedBy: [{ service: "memcached", hosts: ["controller2"] }],
    });
    expect(images.find(({ name }) => name === "mariadb")).toMatchObject({ state: "missing", builtAt: null });
  });

  it("shows an image as outdated once a newer one was asked for, and still what runs on the old one", () => {
    built("memcached", "1");
    issue("controller1", "memcached", container(sha("1"), sha("1")));
    store.decide("t", { type: "image.build-asked", names: ["base"] });
    const image = imageListOf(cloud, store).images.find(({ name }) => name === "memcached");
    expect(image).toMatchObject({ state: "outdated", usedBy: [{ hosts: ["controller1"] }] });
  });

  it("does not count a mirror whose last document failed or is not applied yet", () => {
    built("memcached", "1");
    issue("controller2", "registry-mirror", mirror("1"));
    issue("controller2", "registry-mirror", mirror("2"));
    const image = imageListOf(cloud, store).images.find(({ name }) => name === "memcached");
    expect(image?.registries).toEqual([]);
  });
});

describe("a build that is asked for", () => {
  it("is over those that build, keep and run the image, and is decided with the run", () => {
    built("memcached", "1");
    issue("compute1", "memcached", container(sha("1"), sha("1")));
    buildImages(options(), loaded, ["memcached"], "root");
    expect(started).toEqual([
      {
        scope: ["controller1", "controller2", "compute1"],
        first: [{ type: "image.build-asked", names: ["memcached"] }],
      },
    ]);
    buildImages(options(), loaded, ["mariadb"], "root");
    expect(started[1]?.scope).toEqual(["controller1", "controller2"]);
  });

  it("of nothing in particular is of the base, on which all are made", () => {
    buildImages(options(), loaded, [], "root");
    expect(started[0]?.first).toEqual([{ type: "image.build-asked", names: ["base"] }]);
    const before = recipesOf(cloud, new Map());
    const after = recipesOf(cloud, new Map([["base", 1]]));
    for (const [index, { digest }] of before.entries()) expect(after[index]?.digest).not.toBe(digest);
  });

  it("is refused for an image that there is not, naming those that there are", () => {
    expect(() => buildImages(options(), loaded, ["memcache"], "root")).toThrow(
      expect.objectContaining({ code: "image_unknown" }),
    );
    expect(started).toEqual([]);
  });
});

describe("pruning", () => {
  const answer = { removed: ["a"], freedBytes: { docker: 1, registry: 2 }, why: null };

  it("keeps of each image the last one and the one before, and what any host runs", () => {
    for (const digit of ["1", "2", "3", "4"]) built("memcached", digit);
    built("local-registry", "9");
    issue("compute1", "memcached", container(sha("1"), sha("1")));
    expect(
      keptImages(store)
        .filter(({ name }) => name === "memcached")
        .map(({ digest }) => digest)
        .toSorted(),
    ).toEqual([sha("1"), sha("3"), sha("4")]);
  });

  it("counts an image that was gone back to as the newest", () => {
    for (const digit of ["1", "2", "3", "1"]) built("memcached", digit);
    expect(keptImages(store).map(({ digest }) => digest)).toEqual([sha("1"), sha("3")]);
  });

  it("asks every host that is there, and says of the others that they were not", async () => {
    answers = { prune: answer };
    present.delete("compute1");
    const { hosts } = await pruneImages(options(), loaded, "root");
    expect(asked).toEqual(["controller1 prune", "controller2 prune"]);
    expect(hosts.map(({ outcome }) => outcome)).toEqual(["changed", "changed", "skipped"]);
    expect(store.events(null, 10).map(({ type }) => type)).toEqual(["images.pruned", "images.pruned"]);
  });

  it("touches nothing that is held, and nothing while a run may be making images", async () => {
    held = "held until 16:00";
    await pruneImages(options(), loaded, "root");
    underWay = true;
    await expect(pruneImages(options(), loaded, "root")).rejects.toMatchObject({ code: "server_busy" });
    expect(asked).toEqual([]);
  });
});

describe("moving the registry", () => {
  beforeEach(() => {
    answers = { repair: { outcome: "unchanged", why: null, changes: [] } };
    issue("controller2", "registry-mirror", mirror("1"));
  });

  it("has the new one completed first, then tells everybody by a run", async () => {
    const { from, run } = await moveRegistry(options(), loaded, "controller2", "root");
    expect({ from, run }).toEqual({ from: "controller1", run: { runId: 7, joined: false } });
    expect(asked).toEqual(["controller2 repair"]);
    expect(started).toEqual([{ scope: "aio", first: [{ type: "registry.moved", host: "controller2" }] }]);
  });

  it("to where it is changes nothing", async () => {
    expect(await moveRegistry(options(), loaded, "controller1", "root")).toEqual({
      from: "controller1",
      run: null,
    });
    expect([asked, started]).toEqual([[], []]);
  });

  it.each([
    { name: "a compute", host: "compute1", code: "controller_needed" },
    { name: "nobody", host: "controller9", code: "host_unknown" },
  ])("to $name is refused", async ({ host, code }) => {
    await expect(moveRegistry(options(), loaded, host, "root")).rejects.toMatchObject({ code });
    expect(started).toEqual([]);
  });

  it("to one that is off, held, behind, or cannot be completed is refused, and nothing is decided", async () => {
    const move = moveRegistry.bind(null);
    const refused = async (code: string): Promise<void> => {
      await expect(move(options(), loaded, "controller2", "root")).rejects.toMatchObject({ code });
    };
    answers = { repair: { outcome: "failed", why: "no room", changes: [] } };
    await refused("image_unavailable");
    issue("controller2", "registry-mirror", mirror("2"));
    await refused("image_unavailable");
    held = "held until 16:00";
    await refused("held");
    held = null;
    present.delete("controller2");
    await refused("agent_unreachable");
    expect(started).toEqual([]);
  });

  it("of an outside registry is refused", async () => {
    const outside = { ...loaded, cloud: { ...cloud, registry: { name: "r.example", ca: null, user: null } } };
    await expect(moveRegistry(options(), outside, "controller2", "root")).rejects.toMatchObject({
      code: "registry_outside",
    });
  });
});
