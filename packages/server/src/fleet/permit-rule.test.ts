import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { blocked, due, type Wish } from "./permit-rule.ts";

const hosts = ["h1", "h2", "h3"];
const clusters = ["docker", "galera"];
const nobody = (): readonly string[] => [];

/** What may happen to the permits of a cloud, in any order. */
const step = fc.oneof(
  fc.record({
    do: fc.constant("ask" as const),
    host: fc.constantFrom(...hosts),
    cluster: fc.constantFrom(...clusters),
  }),
  fc.record({
    do: fc.constantFrom("return" as const, "withdraw" as const, "leave" as const, "come" as const),
    host: fc.constantFrom(...hosts),
    cluster: fc.constantFrom(...clusters),
  }),
);

/** Permits as the store has them, led by the rule alone. */
class World {
  wishes: Wish[] = [];
  readonly gone = new Set<string>();
  #n = 0;

  away = (): readonly string[] => [...this.gone];

  take({ do: what, host, cluster }: { do: string; host: string; cluster: string }): void {
    const mine = (wish: Wish): boolean => wish.host === host && wish.cluster === cluster;
    if (what === "ask" && !this.wishes.some(mine))
      this.wishes.push({ wish: String(this.#n++), cluster, host, givenAt: null });
    if (what === "return") this.wishes = this.wishes.filter((wish) => !mine(wish) || wish.givenAt === null);
    if (what === "withdraw") this.wishes = this.wishes.filter((wish) => !mine(wish) || wish.givenAt !== null);
    if (what === "leave") this.gone.add(host);
    if (what === "come") this.gone.delete(host);
  }

  give(): Wish[] {
    const given = due(this.wishes, this.away);
    this.wishes = this.wishes.map((wish) => (given.includes(wish) ? { ...wish, givenAt: "now" } : wish));
    return given;
  }

  holders(cluster: string): Wish[] {
    return this.wishes.filter((wish) => wish.cluster === cluster && wish.givenAt !== null);
  }
}

describe("the rule of permits", () => {
  it("never gives a cluster's permit to two, nor while a member is away", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const world = new World();
        for (const each of steps) {
          world.take(each);
          if (world.gone.size > 0) expect(world.give()).toEqual([]);
          else world.give();
          for (const cluster of clusters) expect(world.holders(cluster).length).toBeLessThanOrEqual(1);
        }
      }),
    );
  });

  it("gives to everybody who asked, in the order of asking, once members are there and holders return", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const world = new World();
        for (const each of steps) {
          world.take(each);
          world.give();
        }
        for (const host of hosts) world.gone.delete(host);
        for (const cluster of clusters) {
          const asked = world.wishes.filter((wish) => wish.cluster === cluster);
          const holder = world.holders(cluster);
          const expected = [...holder, ...asked.filter(({ givenAt }) => givenAt === null)];
          const order: string[] = [];
          for (let n = 0; n < expected.length; n++) {
            world.give();
            const [now] = world.holders(cluster);
            if (now === undefined) break;
            order.push(now.wish);
            world.wishes = world.wishes.filter(({ wish }) => wish !== now.wish);
          }
          expect(order).toEqual(expected.map(({ wish }) => wish));
        }
      }),
    );
  });

  it("says who has it, who asked before and who is away", () => {
    const first: Wish = { wish: "a", cluster: "docker", host: "h1", givenAt: null };
    const second: Wish = { wish: "b", cluster: "docker", host: "h2", givenAt: null };
    expect(blocked(first, [first, second], nobody)).toBeNull();
    expect(blocked(second, [first, second], nobody)).toEqual({ why: "queue", host: "h1" });
    const held = { ...first, givenAt: "2026-01-01T00:00:00.000Z" };
    expect(blocked(second, [held, second], nobody)).toEqual({
      why: "held",
      host: "h1",
      since: "2026-01-01T00:00:00.000Z",
    });
    expect(blocked(first, [first, second], () => ["h3"])).toEqual({ why: "away", host: "h3" });
  });

  it("lets clusters not wait for each other", () => {
    const docker: Wish = { wish: "a", cluster: "docker", host: "h1", givenAt: "now" };
    const galera: Wish = { wish: "b", cluster: "galera", host: "h1", givenAt: null };
    expect(due([docker, galera], nobody)).toEqual([galera]);
  });
});
