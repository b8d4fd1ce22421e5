import { createHash } from "node:crypto";
import { canonicalJson, hostPaths, type DockerEngineSpec } from "@stackctl/protocol";
import {
  fileState,
  fileStateWanted,
  loadedDigest,
  type Behaviour,
  type Context,
  type State,
} from "../engine/resource.ts";
import type { Host } from "../host/host.ts";
import { forgetAside, giveBack, isAside, removeUpTo, setAside } from "./aside.ts";
import { label } from "./container.ts";
import { installOurs, purgeOurs } from "./own-packages.ts";

// Debian's names: docker.io 20.10.
const packageName = "docker.io";
const unit = "docker.service";
const config = "/etc/docker/daemon.json";
const folder = "/etc/docker";
/** dockerd's own, made at its first start; its package forgets it. */
const key = `${folder}/key.json`;
const certificates = `${folder}/certs.d`;
/** Digest of the configuration that dockerd was last restarted with; empty while a restart is due. */
const loaded = `${hostPaths.state}/docker.loaded`;
/** Names of the registries whose authorities were written here by us, one a line: those that are trusted no more go. */
const trusted = `${hostPaths.state}/docker.trusted`;
/** Names the file that the proxy is in: what a unit sets itself, systemd tells everybody over D-Bus (systemd.exec(5), Environment=). */
const proxyUnitFolder = "/etc/systemd/system/docker.service.d";
const proxyUnit = `${proxyUnitFolder}/stackctl-proxy.conf`;
const proxyUnitText = `# Managed by stackctl. Local edits are reverted.\n[Service]\nEnvironmentFile=${hostPaths.dockerProxy}\n`;
const proxyFile = hostPaths.dockerProxy;
const proxyMode = 0o600;
/** Digest of the proxy that dockerd was last restarted with; none: without one. */
const proxyLoaded = `${hostPaths.state}/docker.proxy`;
const mode = 0o644;
const restarting: readonly string[] = ["installed", "loaded", "proxy loaded", "active"];

/** dockerd's configuration (dockerd(8)), the same on every host. */
const daemon = `${JSON.stringify(
  {
    // A restart of dockerd leaves the containers alone.
    "live-restore": true,
    // journald keeps what containers say, also while nobody is attached, and rotates it.
    "log-driver": "journald",
    // Every container is on the host's network: no bridge, and nobody but us writes the host's packet filter.
    bridge: "none",
    iptables: false,
    "ip-forward": false,
    "userland-proxy": false,
  },
  null,
  2,
)}\n`;

/** Keeps dockerd installed, configured and running, and lets it trust the registries of the cloud. */
export const dockerEngine: Behaviour<"docker-engine"> = {
  async read(context, spec) {
    const { host } = context;
    const status = await host.units.status(unit);
    return {
      installed: host.packages.installed(packageName) !== null,
      ...fileState(host, config),
      ...Object.fromEntries(
        spec.trust.map(({ registry }) => [`trust ${registry}`, host.files.read(caFile(registry))]),
      ),
      trusted: host.files.read(trusted),
      proxy: proxyState(context, spec),
      "proxy loaded": host.files.read(proxyLoaded),
      loaded: loadedDigest(host, config, loaded, status),
      enabled: status.enabled,
      active: status.active,
    };
  },
  desired: (spec): State => ({
    installed: true,
    ...fileStateWanted(daemon, mode),
    ...Object.fromEntries(spec.trust.map(({ registry, ca }) => [`trust ${registry}`, ca])),
    trusted: lines(spec.trust.map(({ registry }) => registry)),
    proxy: spec.proxy === undefined ? null : "current",
    "proxy loaded": proxyDigest(spec),
    loaded: digest(),
    enabled: true,
    active: true,
  }),
  async apply(context, spec, changes) {
    const { host, doing } = context;
    const fields = new Set(changes.map(({ field }) => field));
    // A file that was edited and not yet read by dockerd needs no restart once it is put back.
    const restartDue = restarting.some((field) => fields.has(field));
    if (host.files.read(loaded) === null) setAside(host, config);
    if (restartDue) host.files.write(loaded, "", 0o600);
    if (fields.has("proxy loaded")) host.files.write(proxyLoaded, "due", 0o600);
    // Written before the package is there: dockerd's first start is with it already, without a bridge.
    if (["installed", "content", "mode", "owner"].some((field) => fields.has(field)))
      host.files.write(config, daemon, mode);
    // Read by dockerd at each pull: no restart.
    trust(context, spec);
    if (fields.has("proxy")) await setProxy(context, spec);
    if (fields.has("installed")) {
      doing("installing docker");
      await installOurs(host, [packageName]);
    }
    if (fields.has("enabled") || fields.has("installed")) await host.units.enable(unit);
    if (restartDue) {
      doing("restarting docker");
      await host.units.restart(unit);
      const proxy = proxyDigest(spec);
      if (proxy === null) host.files.remove(proxyLoaded);
      else host.files.write(proxyLoaded, proxy, 0o600);
      host.files.write(loaded, digest(), 0o600);
    }
  },
  async remove(context, spec) {
    const { host, doing } = context;
    for (const { registry } of spec.trust) forget(host, registry);
    for (const registry of staleTrust(host, spec)) forget(host, registry);
    host.files.remove(trusted);
    await setProxy(context, { ...spec, proxy: undefined });
    // Somebody else's containers go on as they are; a configuration that was there before us counts from the next start on.
    if ((await others(context)).length > 0) {
      if (giveBack(host, config)) forgetAside(host, config);
      return;
    }
    // Nothing of ours is left: what is there is the host's own.
    if (host.files.read(loaded) === null && !isAside(host, config)) return;
    doing("removing docker");
    await host.units.stop("docker.socket");
    await host.units.stop(unit);
    await purgeOurs(host, [packageName]);
    if (host.packages.installed(packageName) === null) host.files.remove(key);
    if (!giveBack(host, config)) removeUpTo(host, config, folder, "file");
    // One that was there before us goes on with its own configuration.
    if (host.packages.installed(packageName) !== null) await host.units.restart(unit);
    host.files.remove(proxyLoaded);
    host.files.remove(loaded);
    forgetAside(host, config);
  },
  owns: ({ trust, proxy }) => [
    `package:${packageName}`,
    `unit:${unit}`,
    `path:${config}`,
    ...trust.map(({ registry }) => `path:${caFile(registry)}`),
    ...(proxy === undefined ? [] : [`path:${proxyUnit}`, `path:${proxyFile}`]),
  ],
  async keeps(context) {
    const names = await others(context);
    return names.length === 0 ? null : `docker, for ${names.join(", ")} of somebody else`;
  },
  restarts: (_spec, changes) =>
    changes.some(({ field }) => restarting.includes(field)) ? [`restart ${unit}`] : [],
  // One that is stopped, or not there, is no longer taken down.
  disrupts: ({ cluster }, changes) => {
    if (changes === "removal") return cluster;
    const fields = changes.map(({ field }) => field);
    const restarted = fields.includes("loaded") || fields.includes("proxy loaded");
    return restarted && !fields.includes("active") ? cluster : null;
  },
  watch: ({ trust }) => ({
    files: [config, proxyUnit, proxyFile, ...trust.map(({ registry }) => caFile(registry))],
    units: [unit],
    packages: true,
  }),
};

/** Writes the authorities of the registries, and takes away those of others that were ours. */
function trust({ host }: Context, spec: DockerEngineSpec): void {
  const names = spec.trust.map(({ registry }) => registry);
  const stale = staleTrust(host, spec);
  const note = (known: readonly string[]): void => {
    if (host.files.read(trusted) !== lines(known)) host.files.write(trusted, lines(known), 0o600);
  };
  // Noted before it is written, and until it is gone: killed in between, it is still known to be ours.
  note([...names, ...stale]);
  for (const { registry, ca } of spec.trust)
    if (host.files.read(caFile(registry)) !== ca) host.files.write(caFile(registry), ca, mode);
  for (const registry of stale) forget(host, registry);
  note(names);
}

function lines(names: readonly string[]): string {
  return names.map((name) => `${name}\n`).join("");
}

function staleTrust({ files }: Host, spec: DockerEngineSpec): string[] {
  const known = (files.read(trusted) ?? "").split("\n").filter((name) => name !== "");
  return known.filter((name) => !spec.trust.some(({ registry }) => registry === name));
}

function forget(host: Host, registry: string): void {
  removeUpTo(host, caFile(registry), certificates, "file");
}

/**
 * Containers and volumes that are not ours, which have none: Debian's package takes all of `/var/lib/docker` with it when
 * it is purged (docker.io 20.10, postrm). A dockerd that does not run has nothing that could be taken down.
 */
async function others({ host }: Context): Promise<string[]> {
  if (host.packages.installed(packageName) === null || !(await host.units.status(unit)).active) return [];
  const theirs = (await host.docker.containers()).filter(({ labels }) => !(label.spec in labels));
  const volumes = await host.docker.volumes();
  return [...theirs.map(({ name }) => name), ...volumes.map((name) => `volume ${name}`)];
}

function caFile(registry: DockerEngineSpec["trust"][number]["registry"]): string {
  return `${certificates}/${registry}/ca.crt`;
}

/** Says whether the proxy is set as it should be, never what its password is. */
function proxyState(context: Context, spec: DockerEngineSpec): "current" | "other" | null {
  const { files } = context.host;
  const texts = [files.read(proxyUnit), files.read(proxyFile)];
  if (texts.every((text) => text === null)) return null;
  if (spec.proxy === undefined) return "other";
  const stat = files.stat(proxyFile);
  const closed = stat?.mode === proxyMode && stat.owner === "root" && stat.group === "root";
  return closed && texts[0] === proxyUnitText && texts[1] === proxyText(context, spec.proxy)
    ? "current"
    : "other";
}

async function setProxy(context: Context, { proxy }: Pick<DockerEngineSpec, "proxy">): Promise<void> {
  const { host } = context;
  if (proxy === undefined) {
    removeUpTo(host, proxyUnit, proxyUnitFolder, "file");
    removeUpTo(host, proxyFile, hostPaths.configuration, "file");
  } else {
    host.files.write(proxyFile, proxyText(context, proxy), proxyMode);
    host.files.write(proxyUnit, proxyUnitText, mode);
  }
  await host.units.reload();
}

/** systemd.exec(5), EnvironmentFile=. A URL holds neither quotes nor backslashes, with its password percent-encoded. */
function proxyText(
  { reveal }: Context,
  { url, login, direct }: NonNullable<DockerEngineSpec["proxy"]>,
): string {
  const target = new URL(url);
  if (login !== null) {
    target.username = login.user;
    target.password = encodeURIComponent(reveal(login.password));
  }
  const through = target.toString().replace(/\/$/, "");
  return [
    "# Managed by stackctl. Local edits are reverted.",
    `HTTP_PROXY=${through}`,
    `HTTPS_PROXY=${through}`,
    `NO_PROXY=${direct.toSorted().join(",")}`,
    "",
  ].join("\n");
}

function digest(): string {
  return createHash("sha256").update(daemon).digest("hex");
}

/** Of a password only which version it is: this is shown, and a short password could be found by it. */
function proxyDigest({ proxy }: DockerEngineSpec): string | null {
  return proxy === undefined ? null : createHash("sha256").update(canonicalJson(proxy)).digest("hex");
}
