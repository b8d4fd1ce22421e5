import { createHash } from "node:crypto";
import { hostPaths, type DockerEngineSpec } from "@stackctl/protocol";
import {
  fileState,
  fileStateWanted,
  loadedDigest,
  type Behaviour,
  type Context,
  type State,
} from "../engine/resource.ts";

// Debian's names: docker.io 20.10.
const packageName = "docker.io";
const unit = "docker.service";
const config = "/etc/docker/daemon.json";
const certificates = "/etc/docker/certs.d";
/** Digest of the configuration that dockerd was last restarted with; empty while a restart is due. */
const loaded = `${hostPaths.state}/docker.loaded`;
const mode = 0o644;
const restarting: readonly string[] = ["installed", "loaded", "active"];

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
  async read({ host }, spec) {
    const status = await host.units.status(unit);
    return {
      installed: host.packages.installed(packageName) !== null,
      ...fileState(host, config),
      ...Object.fromEntries(
        spec.trust.map(({ registry }) => [`trust ${registry}`, host.files.read(caFile(registry))]),
      ),
      loaded: loadedDigest(host, config, loaded, status),
      enabled: status.enabled,
      active: status.active,
    };
  },
  desired: (spec): State => ({
    installed: true,
    ...fileStateWanted(daemon, mode),
    ...Object.fromEntries(spec.trust.map(({ registry, ca }) => [`trust ${registry}`, ca])),
    loaded: digest(),
    enabled: true,
    active: true,
  }),
  async apply({ host, doing }, spec, changes) {
    const fields = new Set(changes.map(({ field }) => field));
    // A file that was edited and not yet read by dockerd needs no restart once it is put back.
    const restartDue = restarting.some((field) => fields.has(field));
    if (restartDue) host.files.write(loaded, "", 0o600);
    // Written before the package is there: dockerd's first start is with it already, without a bridge.
    if (["installed", "content", "mode", "owner"].some((field) => fields.has(field)))
      host.files.write(config, daemon, mode);
    // Read by dockerd at each pull: no restart.
    for (const { registry, ca } of spec.trust)
      if (host.files.read(caFile(registry)) !== ca) host.files.write(caFile(registry), ca, mode);
    if (fields.has("installed")) {
      doing("installing docker");
      await host.packages.install([packageName]);
    }
    if (fields.has("enabled") || fields.has("installed")) await host.units.enable(unit);
    if (restartDue) {
      doing("restarting docker");
      await host.units.restart(unit);
      host.files.write(loaded, digest(), 0o600);
    }
  },
  async remove(context, { trust }) {
    const { host, doing } = context;
    doing("removing docker");
    await host.units.stop("docker.socket");
    await host.units.stop(unit);
    await host.packages.purge([packageName]);
    for (const { registry } of trust) forget(context, registry);
    host.files.remove(config);
    host.files.remove(loaded);
  },
  restarts: (_spec, changes) =>
    changes.some(({ field }) => restarting.includes(field)) ? [`restart ${unit}`] : [],
  // One that is stopped, or not there, is no longer taken down.
  disrupts: ({ cluster }, changes) => {
    if (changes === "removal") return cluster;
    const fields = changes.map(({ field }) => field);
    return fields.includes("loaded") && !fields.includes("active") ? cluster : null;
  },
  watch: ({ trust }) => ({
    files: [config, ...trust.map(({ registry }) => caFile(registry))],
    units: [unit],
    packages: true,
  }),
};

function forget({ host }: Context, registry: string): void {
  host.files.remove(caFile(registry));
}

function caFile(registry: DockerEngineSpec["trust"][number]["registry"]): string {
  return `${certificates}/${registry}/ca.crt`;
}

function digest(): string {
  return createHash("sha256").update(daemon).digest("hex");
}
