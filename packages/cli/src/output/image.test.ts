import type { ImageList, ImagePruned } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import { renderImages, renderPruned } from "./image.ts";

process.env["TZ"] = "UTC";
process.env["NO_COLOR"] = "1";
const now = Date.parse("2026-01-02T14:20:40.000Z");

type Image = ImageList["images"][number];
const image = (name: string, more: Partial<Image> = {}): Image => ({
  name,
  recipe: "0123456789abcdef".repeat(4),
  state: "built",
  builtAt: "2026-01-02T10:00:00.000Z",
  id: `sha256:${"a".repeat(64)}`,
  digest: `sha256:${"b".repeat(64)}`,
  sizeBytes: 47_400_000,
  registries: ["controller1", "controller2"],
  usedBy: [],
  ...more,
});
const registry = { name: "registry.demo.internal:4000", primary: "controller1", outside: false };

describe("the list of images", () => {
  it("is one line for each, with what runs on it", () => {
    const images = [
      image("base"),
      image("memcached", {
        usedBy: [
          { service: "memcached", hosts: ["controller1", "controller2", "controller3"] },
          { service: "other", hosts: ["compute1"] },
        ],
      }),
    ];
    expect(renderImages({ registry, images }, now)).toMatchInlineSnapshot(`
      "registry registry.demo.internal:4000, the first one is on controller1

      image      recipe        built     digest        size   in the registries of     used by
      base       0123456789ab  10:00:00  bbbbbbbbbbbb  47 MB  controller1 controller2
      memcached  0123456789ab  10:00:00  bbbbbbbbbbbb  47 MB  controller1 controller2  memcached on 3, other@compute1"
    `);
  });

  it("says what is not built as it should be, and what to type", () => {
    const none = { builtAt: null, id: null, digest: null, sizeBytes: null, registries: [] };
    const images = [image("base", { state: "outdated" }), image("haproxy", { state: "missing", ...none })];
    const text = renderImages({ registry: { ...registry, outside: true }, images }, now);
    expect(text).toContain("(outside), images are built on controller1");
    expect(text).toMatch(/^haproxy +MISSING +- +- +\? +outside$/m);
    expect(text).toContain("base, haproxy: not built as it should be: stackctl apply controller");
  });
});

describe("what was pruned", () => {
  const host = (more: Partial<ImagePruned["hosts"][number]>): ImagePruned["hosts"][number] => ({
    host: "controller1",
    outcome: "changed",
    why: null,
    removed: ["keystone@sha256:1", "r/keystone:1"],
    freedBytes: { docker: 200_000_000, registry: 90_000_000 },
    ...more,
  });

  it("is how much room there is now, host by host", () => {
    expect(renderPruned({ hosts: [host({})] })).toBe(
      "290 MB freed.\ncontroller1  changed  2 images  registry 90 MB, docker 200 MB",
    );
  });

  it("says which hosts were left out and why, and what to type", () => {
    const left = host({ outcome: "skipped", why: "controller1 is not there\nnow", removed: [] });
    const text = renderPruned({ hosts: [left] });
    expect(text).toContain("skipped");
    expect(text).toContain("controller1 is not there; now");
    expect(text).toContain("stackctl image prune");
  });
});
