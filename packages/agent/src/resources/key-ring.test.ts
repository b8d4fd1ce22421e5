import { resourceSchema, type Resource } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import { bind, converge } from "../engine/converge.ts";
import type { Context } from "../engine/resource.ts";
import { FakeHost } from "../testing/fake-host.ts";
import { behaviours } from "./index.ts";

const path = "/etc/stackctl/keystone-keys/fernet";
const key = (version: number): string => `${Buffer.alloc(32, version).toString("base64url")}=`;

function ring(generation: number, keys: Readonly<Record<string, number>>): Resource {
  return resourceSchema.parse({
    type: "key-ring",
    name: "fernet",
    spec: {
      path,
      owner: 706,
      group: 706,
      generation,
      keys: Object.entries(keys).map(([index, version]) => ({
        index: Number(index),
        key: { secret: "keystone-fernet-key", version },
      })),
    },
  });
}

function world(): { host: FakeHost; context: Context; apply: (ring: Resource) => Promise<unknown> } {
  const host = new FakeHost();
  const context: Context = {
    host,
    reveal: ({ version }) => key(version),
    goingDown: () => Promise.resolve(),
    doing: () => undefined,
  };
  const apply = (wanted: Resource): Promise<unknown> =>
    converge(
      behaviours,
      wanted,
      context,
      () => true,
      () => undefined,
    );
  return { host, context, apply };
}

const first = ring(1, { 0: 2, 1: 1 });
const promoted = ring(2, { 0: 3, 1: 1, 2: 2 });
const retired = ring(3, { 0: 3, 2: 2 });

describe("key-ring", () => {
  it("writes the signing key before the next one, and takes keys away last", async () => {
    const { host, apply } = world();
    await apply(first);
    const order = (): string[] => host.mutations.filter((call) => call.includes(`${path}/`));
    expect(order()).toEqual([`files.write ${path}/1`, `files.write ${path}/0`]);
    host.mutations.length = 0;
    await apply(promoted);
    expect(order()).toEqual([`files.write ${path}/2`, `files.write ${path}/0`]);
    host.mutations.length = 0;
    await apply(retired);
    expect(order()).toEqual([`files.remove ${path}/1`]);
  });

  it.each([
    { name: "in place of the one that signs", index: 1 },
    { name: "beside them, so that it would sign", index: 7 },
  ])("leaves all as it is when there is a key that it did not make: $name", async ({ index }) => {
    const { host, apply } = world();
    await apply(first);
    host.contents.set(`${path}/${String(index)}`, {
      text: key(99),
      mode: 0o600,
      owner: "706",
      group: "706",
    });
    const before = host.snapshot();
    host.mutations.length = 0;
    await expect(apply(promoted)).rejects.toMatchObject({ code: "keys_foreign" });
    expect(host.mutations).toEqual([]);
    expect(host.snapshot()).toEqual(before);
  });

  it("says the same of equal rings, and another thing of one that differs", async () => {
    const one = world();
    const two = world();
    await one.apply(first);
    await two.apply(first);
    const health = (each: typeof one): unknown => bind(behaviours, first).health(each.context);
    const good = await health(one);
    expect(good).toMatchObject({ cluster: "keys-fernet", ok: true });
    expect(await health(two)).toEqual(good);
    two.host.contents.delete(`${path}/0`);
    expect(await health(two)).toMatchObject({ ok: false });
    expect(JSON.stringify(good)).not.toContain(key(1));
  });

  it("never shows a key", async () => {
    const { host, context, apply } = world();
    const shown = [await apply(first), await bind(behaviours, first).read(context), host.mutations];
    expect(JSON.stringify(shown)).not.toContain(key(1).slice(0, 20));
  });
});
