import { imageList, imagePruned, type ImageList, type ImagePruned } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import type { Lab } from "../lab/lab.ts";
import { succeed, type Stack } from "../stack.ts";
import { applied, on } from "./world.ts";

/** What `image list --json` prints now. */
async function listed(stack: Stack): Promise<ImageList> {
  return imageList.parse(JSON.parse((await succeed(stack.run(["image", "list", "--json"]))).stdout));
}

async function pruned(stack: Stack): Promise<ImagePruned> {
  return imagePruned.parse(JSON.parse((await succeed(stack.run(["image", "prune", "--json"]))).stdout));
}

/** Everything that a restart would change, of every host: dockerd's process, and when each container was started. */
async function running(lab: Lab): Promise<Record<string, string>> {
  const script =
    "pidof dockerd; docker ps -q --no-trunc | sort | xargs -r docker inspect --format '{{.Name}} {{.Id}} {{.State.StartedAt}}'";
  const pairs = lab.hosts.map(async ({ name }) => [name, await on(lab, name, "sh", "-c", script)] as const);
  return Object.fromEntries(await Promise.all(pairs));
}

/**
 * Claims about images and the registry, of a cloud that is applied and green; it is so again afterwards.
 * @param world read when a claim is tried
 */
export function imageClaims(world: () => { readonly lab: Lab; readonly stack: Stack }): void {
  const controllers = ({ hosts }: Lab): string[] =>
    hosts.filter(({ role }) => role === "controller").map(({ name }) => name);

  describe("images", () => {
    it("are all built, in the registry of every controller, and memcached's is used by all of them", async () => {
      const { lab, stack } = world();
      const { registry, images } = await listed(stack);
      expect(registry).toEqual({
        name: `registry.${lab.name}.internal:4000`,
        primary: "controller1",
        outside: false,
      });
      for (const image of images) {
        expect(image, image.name).toMatchObject({ state: "built", registries: controllers(lab) });
        expect(image.sizeBytes, image.name).toBeGreaterThan(1e6);
      }
      expect(images.find(({ name }) => name === "memcached")?.usedBy).toEqual([
        { service: "memcached", hosts: controllers(lab) },
      ]);
    });

    it.each(["controller2", "controller1"])(
      "are served first by %s once the registry was moved there, and nothing was restarted for it",
      async (host) => {
        const { lab, stack } = world();
        const before = await running(lab);
        const images = (await listed(stack)).images.map(({ name, id, digest }) => ({ name, id, digest }));
        const moved = await stack.run(["registry", "move", host, "--json"]);
        expect(applied(moved), moved.stderr).toMatchObject({ totals: { failed: 0, skipped: 0 } });
        expect(await running(lab)).toEqual(before);
        const after = await listed(stack);
        expect(after.registry.primary).toBe(host);
        expect(after.images.map(({ name, id, digest }) => ({ name, id, digest }))).toEqual(images);
        const address = lab.hosts.find(({ name }) => name === host)?.management ?? "";
        for (const { name } of lab.hosts) {
          // As docker takes them; glibc would put a host's own address first (RFC 3484, rule 9).
          const found = await on(lab, name, "grep", "-m1", `registry.${lab.name}.internal`, "/etc/hosts");
          expect(found.split(" ")[0], name).toBe(address);
        }
        expect(applied(await stack.run(["apply", "aio", "--json"]))).toMatchObject({ outcome: "unchanged" });
        console.log(`registry moved to ${host} in ${moved.seconds.toFixed(1)} s`);
      },
    );

    it("that nobody names are taken away with their room, and all others are still there to be pulled", async () => {
      const { lab, stack } = world();
      const registry = `registry.${lab.name}.internal:4000`;
      const stale = `${registry}/stale:1`;
      const script = `head -c 5000000 /dev/urandom > /var/tmp/stale && tar -C /var/tmp -c stale | docker import - ${stale} && docker push -q ${stale} && rm /var/tmp/stale`;
      await on(lab, "controller1", "sh", "-c", script);
      const before = await running(lab);
      await pruned(stack).then(({ hosts }) => {
        const first = hosts.find(({ host }) => host === "controller1");
        expect(first?.removed.join(" ")).toContain("stale@sha256:");
        expect(first?.freedBytes.registry).toBeGreaterThan(4_900_000);
        for (const { host, outcome, why } of hosts)
          expect(["changed", "unchanged"], `${host}: ${why ?? ""}`).toContain(outcome);
      });
      expect(await running(lab)).toEqual(before);
      await on(lab, "controller1", "docker", "image", "rm", stale);
      await expect(on(lab, "controller1", "docker", "pull", "-q", stale)).rejects.toThrow(
        /not found|unknown/,
      );
      const { images } = await listed(stack);
      for (const { name, digest } of images) {
        const reference = `${registry}/${name}@${digest ?? ""}`;
        await on(lab, "controller3", "docker", "pull", "-q", reference);
      }
      const again = await pruned(stack);
      expect(again.hosts.every(({ outcome }) => outcome !== "failed")).toBe(true);
      expect(applied(await stack.run(["apply", "aio", "--json"]))).toMatchObject({ outcome: "unchanged" });
    });
  });
}
