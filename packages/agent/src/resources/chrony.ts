import { createHash } from "node:crypto";
import { hostPaths, type ChronySpec } from "@stackctl/protocol";
import { fileState, fileStateWanted, loadedDigest, type Behaviour } from "../engine/resource.ts";
import { forgetAside, giveBack, isAside, setAside } from "./aside.ts";
import { installOurs, purgeOurs } from "./own-packages.ts";

// Debian's paths and unit name. Directives: chrony.conf(5), chrony 4.3.
const config = "/etc/chrony/chrony.conf";
const unit = "chrony.service";
/** Digest of the configuration that chronyd was last restarted with; empty while a restart is due. */
const loaded = `${hostPaths.state}/chrony.loaded`;
const mode = 0o644;
/** Fields whose change means that chronyd has to be started anew. */
const restarting: readonly string[] = ["installed", "content", "loaded", "active"];

/** Keeps chronyd installed, configured and running, so that every host agrees on the time. */
export const chrony: Behaviour<"chrony"> = {
  async read({ host }) {
    const status = await host.units.status(unit);
    return {
      installed: host.packages.installed("chrony") !== null,
      ...fileState(host, config),
      loaded: loadedDigest(host, config, loaded, status),
      enabled: status.enabled,
      active: status.active,
    };
  },
  desired: (spec) => ({
    installed: true,
    ...fileStateWanted(render(spec), mode),
    loaded: digest(spec),
    enabled: true,
    active: true,
  }),
  async apply({ host, doing }, spec, changes) {
    const fields = new Set(changes.map(({ field }) => field));
    const restartDue = restarting.some((field) => fields.has(field));
    // A host that had chrony before us gets its configuration back one day.
    if (host.files.read(loaded) === null) setAside(host, config);
    // The debt is written before anything else and paid after the restart: a crash anywhere between leaves a difference.
    if (restartDue) host.files.write(loaded, "", 0o600);
    if (fields.has("installed")) {
      doing("installing chrony");
      await installOurs(host, ["chrony"]);
    }
    // What the package brings or finds is not what was read, so after an install everything is written.
    if (["installed", "content", "mode", "owner"].some((field) => fields.has(field)))
      host.files.write(config, render(spec), mode);
    if (fields.has("enabled") || fields.has("installed")) await host.units.enable(unit);
    if (restartDue) {
      doing("restarting chrony");
      await host.units.restart(unit);
      host.files.write(loaded, digest(spec), 0o600);
    }
  },
  async remove({ host, doing }) {
    // Nothing of ours is left: what is there is the host's own.
    if (host.files.read(loaded) === null && !isAside(host, config)) return;
    doing("removing chrony");
    await host.units.stop(unit);
    await purgeOurs(host, ["chrony"]);
    if (!giveBack(host, config)) host.files.remove(config);
    // One that was there before us goes on with its own configuration.
    if (host.packages.installed("chrony") !== null && host.files.read(config) !== null)
      await host.units.restart(unit);
    host.files.remove(loaded);
    forgetAside(host, config);
  },
  owns: () => ["package:chrony", `path:${config}`, `unit:${unit}`],
  restarts: (_spec, changes) =>
    changes.some(({ field }) => restarting.includes(field)) ? [`restart ${unit}`] : [],
  disrupts: () => null,
  watch: () => ({ files: [config], units: [unit], packages: true }),
};

function render({ servers, allow, stepThresholdSeconds }: ChronySpec): string {
  return [
    "# Managed by stackctl. Local edits are reverted.",
    ...servers.toSorted().map((server) => `server ${server} iburst`),
    ...allow.toSorted().map((network) => `allow ${network}`),
    // Who serves goes on serving when nobody above answers, so that the followers stay together.
    ...(allow.length > 0 ? ["local stratum 10 orphan"] : []),
    "driftfile /var/lib/chrony/chrony.drift",
    "logdir /var/log/chrony",
    // Only the first 3 updates may step: later, a jump would hurt databases more than a slow correction.
    `makestep ${String(stepThresholdSeconds)} 3`,
    "maxupdateskew 100.0",
    "rtcsync",
    "",
  ].join("\n");
}

function digest(spec: ChronySpec): string {
  return createHash("sha256").update(render(spec)).digest("hex");
}
