import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { canonicalJson, containerUnit, StackctlError, type ContainerSpec } from "@stackctl/protocol";
import type { Behaviour, Context, State } from "../engine/resource.ts";
import { untilServes } from "./galera-member.ts";

/** Labels that every container of ours has, and no other. */
export const label = { spec: "stackctl.spec", configuration: "stackctl.configuration" } as const;
const mode = 0o644;
/** How often one that is waited for is asked, and how long it may take to answer. */
const askMs = 300;
const probeMs = 3000;
/** Fields whose change means another container. */
const remaking: readonly string[] = ["image", "spec", "configuration"];

/**
 * Keeps a container as its spec says, under a systemd unit of its own. What it was made with is in its labels, so that
 * an edited configuration shows until the container was made anew with it.
 */
export const container: Behaviour<"container"> = {
  async read({ host }, spec, name) {
    const found = await host.docker.container(name);
    const status = await host.units.status(containerUnit(name));
    return {
      unit: host.files.read(unitFile(name)),
      loaded: status.known && !status.stale,
      image: found?.image ?? null,
      spec: found?.labels[label.spec] ?? null,
      configuration: found?.labels[label.configuration] ?? null,
      running: found?.running ?? false,
      enabled: status.enabled,
      active: status.active,
    };
  },
  desired: (spec, context, name): State => ({
    unit: unitText(name, spec),
    loaded: true,
    image: spec.image.id,
    spec: specDigest(spec),
    configuration: configurationDigest(context, spec),
    running: true,
    enabled: true,
    active: true,
  }),
  async apply(context, spec, changes, name) {
    const { host, doing } = context;
    const unit = containerUnit(name);
    const fields = new Set(changes.map(({ field }) => field));
    await ensureImage(context, spec, name);
    if (fields.has("unit")) host.files.write(unitFile(name), unitText(name, spec), mode);
    await host.units.load(unit);
    if (remaking.some((field) => fields.has(field))) {
      const before = await host.docker.container(name);
      // Also when the container is gone: its unit goes on trying to start it.
      doing(`stopping ${name}`);
      await host.units.stop(unit);
      await host.docker.remove(name);
      if (before !== null && before.image !== spec.image.id) await host.docker.removeUnused(before.image);
      await host.docker.create(name, made(context, spec));
    }
    if (fields.has("enabled")) await host.units.enable(unit);
    doing(`starting ${name}`);
    await host.units.start(unit);
    await untilReady(context, spec, name);
  },
  async remove({ host, doing }, { image }, name) {
    doing(`removing ${name}`);
    const unit = containerUnit(name);
    await host.units.stop(unit);
    await host.units.disable(unit);
    host.files.remove(unitFile(name));
    await host.units.reload();
    await host.docker.remove(name);
    await host.docker.removeUnused(image.id);
  },
  owns: ({ image, ready }, name) => [
    `container:${name}`,
    `image:${image.id}`,
    `unit:${containerUnit(name)}`,
    `path:${unitFile(name)}`,
    ...(ready === null ? [] : [`port:${ready.address}:${String(ready.port)}`]),
  ],
  restarts: (_spec, changes, name) =>
    changes.some(({ field }) => [...remaking, "running", "active"].includes(field))
      ? [`restart container ${name}`]
      : [],
  // One that does not run is no longer taken down.
  disrupts: ({ cluster }, changes) => {
    if (changes === "removal") return cluster;
    const fields = changes.map(({ field }) => field);
    return remaking.some((field) => fields.includes(field)) && !fields.includes("running") ? cluster : null;
  },
  watch: ({ configuration }, name) => ({
    files: [unitFile(name), ...configuration],
    units: [containerUnit(name)],
  }),
  health: ({ host }, { ready, cluster }) =>
    ready?.http === undefined || cluster === null
      ? null
      : serves(host, { ...ready, http: ready.http }).then((ok) => ({
          cluster,
          state: ok ? "answering" : "not answering",
          size: 1,
          id: null,
          ok,
        })),
};

/** Sees to it that the image of what is to be started is here. @throws StackctlError `image_unavailable` */
export async function ensureImage(
  { host, reveal, doing }: Context,
  { image }: Pick<ContainerSpec, "image">,
  name: string,
): Promise<void> {
  if ((await host.docker.image(image.id)) !== null) return;
  if (image.pull === null) {
    throw new StackctlError("image_unavailable", `the image of ${name} was made on this host and is gone`, {
      retryable: true,
      details: { expected: image.id, remedy: "stackctl apply controller" },
    });
  }
  const { registry, digest, login } = image.pull;
  const shown = login === null ? null : { user: login.user, password: reveal(login.password) };
  const id = await host.docker.pull(registry, image.pull.name, digest, shown, doing);
  if (id === image.id) return;
  throw new StackctlError("image_unavailable", `${registry}/${image.pull.name}@${digest} is another image`, {
    details: { expected: image.id, found: id },
  });
}

async function untilReady({ host, doing }: Context, { ready }: ContainerSpec, name: string): Promise<void> {
  if (ready === null) return;
  const { address, port, seconds, galera, http } = ready;
  const until = performance.now() + seconds * 1000;
  // It takes connections only once it has received what it lacks, which it tells better itself.
  if (galera !== undefined) await untilServes({ host, doing }, { socket: galera, container: name, seconds });
  doing(`waiting for ${name} to answer`);
  const takes = await host.system.answers(address, port, galera === undefined ? seconds : 10);
  if (takes && http === undefined) return;
  while (takes && http !== undefined) {
    if (await serves(host, { address, port, http })) return;
    if (performance.now() > until) break;
    await delay(askMs);
  }
  throw new StackctlError("container_failed", `${name} does not answer at ${address}:${String(port)}`, {
    retryable: true,
    details: { expected: `an answer within ${String(seconds)} s`, remedy: `stackctl logs ${name}` },
  });
}

/** True when the service answers, whoever may use it. */
async function serves(
  { web }: Context["host"],
  { address, port, http }: { readonly address: string; readonly port: number; readonly http: string },
): Promise<boolean> {
  const url = `http://${address}:${String(port)}${http}`;
  return (await web.ask({ method: "GET", url }, probeMs))?.status === 200;
}

function made(context: Context, spec: ContainerSpec): Parameters<Context["host"]["docker"]["create"]>[1] {
  const { image, command, user, mounts, tmpfs, capabilities, environment } = spec;
  const labels = {
    [label.spec]: specDigest(spec),
    [label.configuration]: configurationDigest(context, spec),
  };
  return { image: image.id, command, user, mounts, tmpfs, capabilities, environment, labels };
}

/** Of all that a container is made with; its unit and where its image comes from are compared on their own. */
function specDigest(spec: ContainerSpec): string {
  const { image, command, user, mounts, tmpfs, capabilities, environment } = spec;
  return createHash("sha256")
    .update(canonicalJson([image.id, command, user, mounts, tmpfs, capabilities, environment]))
    .digest("hex");
}

/** Of the files that it reads at its start, as they are now. */
function configurationDigest({ host }: Context, { configuration }: ContainerSpec): string {
  const hash = createHash("sha256");
  for (const file of configuration.toSorted()) hash.update(JSON.stringify([file, host.files.read(file)]));
  return hash.digest("hex");
}

function unitFile(name: string): string {
  return `/etc/systemd/system/${containerUnit(name)}`;
}

/** systemd.service(5). */
function unitText(name: string, { requires, stopSeconds }: ContainerSpec): string {
  const others = requires.toSorted().join(" ");
  return [
    "# Managed by stackctl. Local edits are reverted.",
    "[Unit]",
    `Description=stackctl container ${name}`,
    // Not required: a stop of dockerd must not stop what it left running.
    "Wants=docker.service",
    `After=docker.service network-online.target${others === "" ? "" : ` ${others}`}`,
    ...(others === "" ? [] : [`Requires=${others}`]),
    "StartLimitIntervalSec=0",
    "",
    "[Service]",
    `ExecStart=/usr/bin/docker start --attach ${name}`,
    // systemd runs this also when the attached docker ended by itself, as it does when dockerd restarts: then nothing is stopped.
    `ExecStop=/bin/sh -c 'test -z "$$MAINPID" || exec /usr/bin/docker stop --time ${String(stopSeconds)} ${name}'`,
    `TimeoutStopSec=${String(stopSeconds + 30)}`,
    "Restart=always",
    "RestartSec=1",
    // dockerd gives what the container says to the journal itself.
    "StandardOutput=null",
    "",
    "[Install]",
    "WantedBy=multi-user.target",
    "",
  ].join("\n");
}
