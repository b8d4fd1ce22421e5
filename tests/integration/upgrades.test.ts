import { appendFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { behaviours } from "@stackctl/agent/resources/index.ts";
import { releaseAnswer, version, type UpgradeView } from "@stackctl/protocol";
import { manifestOf, runtimeArchive, type Runtime } from "@stackctl/server/bootstrap/runtime.ts";
import type { CloudHost } from "@stackctl/server/config/model.ts";
import { exampleCloud } from "@stackctl/server/testing/example-cloud.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { firstRelease } from "./fake-releases.ts";
import { makeFleet, type FleetWorld } from "./fleet-world.ts";
import { until } from "./world.ts";

const [controller, compute] = exampleCloud.hosts;
const names = ["c1", "c2", "n1", "n2"];
const hosts: CloudHost[] = names.flatMap((name) => {
  const like = name.startsWith("c") ? controller : compute;
  return like === undefined ? [] : [{ ...like, name }];
});

let fleet: FleetWorld;
let bundle: string;
beforeEach(async () => {
  fleet = await makeFleet(names, behaviours, () => null);
  fleet.server().store.decide("t", { type: "primary.chosen", host: "c1" });
  bundle = join(fleet.folder, "new.cjs");
  writeFileSync(bundle, `// ${"x".repeat(300_000)}\n`);
});
afterEach(async () => {
  await fleet.close();
});

const runtime = (file = bundle): Promise<Runtime> =>
  runtimeArchive({
    node: join(fleet.folder, "node"),
    agentBundle: file,
    cacheDir: join(fleet.folder, "cache"),
  });
const ask = (all: readonly CloudHost[] = hosts): Promise<UpgradeView> =>
  fleet.server().upgrades.ask(all, bundle, "eve");
const end = async (id: number | null): Promise<UpgradeView> => {
  const view = (): UpgradeView => fleet.server().upgrades.view(id ?? 0);
  await until("the upgrade ends", () => view().state === "done", 50_000);
  return view();
};
const current = (): string[] => names.map((name) => fleet.host(name).releases.current());
const states = (view: UpgradeView): string[] => view.hosts.map(({ host, state }) => `${host} ${state}`);

describe("an upgrade", () => {
  it("reaches one compute first and then all, sends only what is missing, and is unchanged the second time", async () => {
    const { release } = await runtime();
    const { id } = await ask();
    await until("n1 runs it", () => fleet.host("n1").releases.current() === release, 40_000);
    expect(current().filter((each) => each === release)).toHaveLength(1);
    const view = await end(id);
    expect(view).toMatchObject({ outcome: "changed", why: null });
    expect(view.hosts.find(({ canary }) => canary)?.host).toBe("n1");
    expect(current()).toEqual(names.map(() => release));
    for (const name of names) {
      const { releases } = fleet.host(name);
      expect(releases.isArmed()).toBe(false);
      const kept = [firstRelease, release].toSorted();
      await until("nothing else is kept", () => releases.all().join() === kept.join());
      expect(readFileSync(releases.path(release, "agent.cjs"))).toEqual(readFileSync(bundle));
      expect(fleet.server().store.agent(name)?.release).toBe(release);
    }
    expect(await ask()).toMatchObject({ id: null, outcome: "unchanged" });
    expect((await fleet.server().upgrades.wanted()).release).toBe(release);

    // The next one has another bundle and the same Node.
    appendFileSync(bundle, "// more\n");
    const next = await runtime();
    const inode = (file: string): number => statSync(fleet.host("n1").releases.path(file, "node")).ino;
    const before = inode(release);
    await end((await ask()).id);
    expect(inode(next.release)).toBe(before);
    const kept = [release, next.release].toSorted();
    await until("the oldest is gone", () => fleet.host("n1").releases.all().join() === kept.join());
  });

  it("leaves out who is held or away, and says so", async () => {
    await fleet.host("n2").kill();
    await until("n2 is silent", () => fleet.server().fleet.presence("n2")?.state === "silent");
    fleet.server().holds.set("c2", null, Date.now() + 60_000, "a disk", "root");
    const view = await end((await ask()).id);
    expect(view.outcome).toBe("changed");
    expect(view.hosts.find(({ host }) => host === "c2")).toMatchObject({
      state: "skipped",
      text: /^held by root/,
    });
    expect(view.hosts.find(({ host }) => host === "n2")).toMatchObject({
      state: "skipped",
      text: /^absent: /,
    });
  });

  it("does not try a release on the primary", async () => {
    const primary = hosts.filter(({ name }) => name === "c1");
    await expect(ask(primary)).rejects.toMatchObject({ code: "usage" });
  });
});

describe("a release that does not come up", () => {
  it("on the first host leaves the others alone, and the host is back by itself", async () => {
    const { release } = await runtime();
    fleet.host("n1").releases.broken.add(release);
    const { id } = await ask();
    await until("n1 tries it", () => fleet.host("n1").releases.current() === release, 40_000);
    expect(fleet.host("n1").releases.isArmed()).toBe(true);
    await fleet.host("n1").releases.goBack();
    const view = await end(id);
    expect(view).toMatchObject({
      outcome: "failed",
      why: `the agent on n1 did not connect with ${release} within 40 s; it went back to ${firstRelease}; no other host was touched`,
    });
    expect(current()).toEqual(names.map(() => firstRelease));
    expect(states(view)).toEqual(["c1 skipped", "c2 skipped", "n1 failed", "n2 skipped"]);
    expect(fleet.server().store.agent("n1")?.release).not.toBe(release);
    expect(fleet.host("c1").releases.all()).toEqual([firstRelease]);
    expect((await fleet.server().upgrades.wanted()).release).not.toBe(release);
  });

  it("on a later host takes back those that run it", async () => {
    const { release } = await runtime();
    fleet.host("c2").releases.broken.add(release);
    const { id } = await ask();
    await until(
      "the others run it",
      () => ["c1", "n2"].every((name) => fleet.server().store.agent(name)?.release === release),
      40_000,
    );
    await fleet.host("c2").releases.goBack();
    const view = await end(id);
    expect(view.outcome).toBe("failed");
    expect(view.why).toContain("the agent on c2 did not connect");
    expect(current()).toEqual(names.map(() => firstRelease));
    for (const name of names) expect(fleet.host(name).releases.isArmed()).toBe(false);
    expect(fleet.server().store.agent("n1")?.release).toBe(firstRelease);
  });
});

describe("a kill", () => {
  it("of the server while the canary waits to be confirmed: the next one goes on, also when the host went back", async () => {
    const { release } = await runtime();
    const { id } = await ask();
    await until("n1 runs it", () => fleet.server().upgrades.running("n1") === release, 40_000);
    await fleet.server().kill();
    await fleet.host("n1").releases.goBack();
    expect(fleet.host("n1").releases.current()).toBe(firstRelease);
    await fleet.startServer();
    expect(await end(id)).toMatchObject({ outcome: "changed" });
    expect(current()).toEqual(names.map(() => release));
  });

  it("of the agent while files are sent: they are sent on from where they were", async () => {
    const { release } = await runtime();
    const { id } = await ask();
    const half = (): boolean =>
      fleet
        .host("n1")
        .releases.all()
        .some((name) => name === `.new-${release}`);
    await until("something arrived", half);
    await fleet.host("n1").kill();
    expect(fleet.host("n1").releases.current()).toBe(firstRelease);
    fleet.host("n1").start();
    expect(await end(id)).toMatchObject({ outcome: "changed" });
    expect(current()).toEqual(names.map(() => release));
  });
});

describe("an agent", () => {
  it("takes no release that is older than itself, and none whose content is another than what was signed", async () => {
    const manifest = manifestOf(await runtime());
    const server = fleet.server();
    const older = await server.ask("n1", {
      kind: "release-offer",
      manifest: { ...manifest, version: "0.0.9" },
    });
    expect(releaseAnswer.parse(older).problem).toMatchObject({
      code: "upgrade_refused",
      message: expect.stringContaining(`older than ${version}`) as string,
    });

    const files = manifest.files.map((file) =>
      file.name === "agent.cjs" ? { ...file, archiveBytes: 5 } : file,
    );
    await server.ask("n1", { kind: "release-offer", manifest: { ...manifest, files } });
    const piece = { kind: "release-piece", release: manifest.release, name: "agent.cjs", offset: 0 } as const;
    const bytes = Buffer.from("rogue").toString("base64");
    expect(releaseAnswer.parse(await server.ask("n1", { ...piece, bytes })).problem).toMatchObject({
      code: "upgrade_refused",
      message: expect.stringContaining("is not what was signed") as string,
    });
    const start = { kind: "release-start", release: manifest.release } as const;
    expect(releaseAnswer.parse(await server.ask("n1", start)).problem?.message).toContain(
      "not on this host whole",
    );
    expect(fleet.host("n1").releases.current()).toBe(firstRelease);
  });
});
