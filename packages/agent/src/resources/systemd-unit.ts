import { createHash } from "node:crypto";
import { hostPaths, type SystemdUnitSpec } from "@stackctl/protocol";
import { fileState, fileStateWanted, type Behaviour, type Context, type State } from "../engine/resource.ts";
import { removeUpTo } from "./aside.ts";

const mode = 0o644;
/** Fields whose change means that it has to be started anew. */
const restarting: readonly string[] = ["content", "loaded", "active"];

/**
 * Keeps a unit's text, and whether it runs and starts at boot. What it was last started with is part of what is observed,
 * so that a restart that was missed is still owed.
 */
export const systemdUnit: Behaviour<"systemd-unit"> = {
  async read({ host }, spec, name): Promise<State> {
    const status = await host.units.status(spec.unit);
    return {
      ...fileState(host, fileOf(spec, name)),
      read: status.known && !status.stale,
      loaded: host.files.read(loadedOf(name)) ?? "",
      enabled: status.enabled,
      active: status.active,
    };
  },
  desired: (spec, context): State => ({
    ...fileStateWanted(spec.text, mode),
    read: true,
    loaded: digest(context, spec),
    enabled: spec.enabled,
    active: spec.active,
  }),
  async apply(context, spec, changes, name) {
    const { host, doing } = context;
    const { unit, kind, text, active, enabled } = spec;
    const fields = new Set(changes.map(({ field }) => field));
    const due = restarting.some((field) => fields.has(field));
    const written = ["content", "mode", "owner"].some((field) => fields.has(field));
    // The debt is written before anything else and paid after the restart: a crash anywhere between leaves a difference.
    if (due) host.files.write(loadedOf(name), "", 0o600);
    if (written) host.files.write(fileOf(spec, name), text, mode);
    // Also when systemd says that it has read all: it does not see a `.d` folder that is new (seen with systemd 252).
    if (kind === "drop-in" && (due || written)) await host.units.reload();
    else await host.units.load(unit);
    if (fields.has("enabled")) await (enabled ? host.units.enable(unit) : host.units.disable(unit));
    if (due && active) {
      doing(`restarting ${unit}`);
      await host.units.restart(unit);
    }
    if (fields.has("active") && !active) await host.units.stop(unit);
    if (due) host.files.write(loadedOf(name), digest(context, spec), 0o600);
  },
  async remove({ host, doing }, spec, name) {
    const { unit, kind } = spec;
    doing(`removing ${name}`);
    if (kind === "unit") {
      await host.units.stop(unit);
      await host.units.disable(unit);
    }
    removeUpTo(host, fileOf(spec, name), kind === "unit" ? fileOf(spec, name) : folderOf(spec), "file");
    await host.units.reload();
    // A package's unit stays, and runs on without what was added; the note goes last, for the restart is owed until then.
    const added = kind === "drop-in" && host.files.read(loadedOf(name)) !== null;
    if (added && (await host.units.status(unit)).active) {
      doing(`restarting ${unit}`);
      await host.units.restart(unit);
    }
    host.files.remove(loadedOf(name));
  },
  // A package's unit is its package's.
  owns: (spec, name) => [
    `path:${fileOf(spec, name)}`,
    `path:${loadedOf(name)}`,
    ...(spec.kind === "unit" ? [`unit:${spec.unit}`] : []),
  ],
  restarts: ({ unit, active }, changes) =>
    active && changes.some(({ field }) => restarting.includes(field)) ? [`restart ${unit}`] : [],
  // One that does not run is no longer taken down.
  disrupts: ({ cluster, active }, changes) => {
    if (changes === "removal") return cluster;
    const fields = changes.map(({ field }) => field);
    const goesDown = active
      ? !fields.includes("active") && restarting.some((field) => fields.includes(field))
      : fields.includes("active");
    return goesDown ? cluster : null;
  },
  watch: (spec, name) => ({ files: [fileOf(spec, name), ...spec.configuration], units: [spec.unit] }),
};

function fileOf({ unit, kind }: SystemdUnitSpec, name: string): string {
  return kind === "unit" ? `/etc/systemd/system/${unit}` : `${folderOf({ unit })}/stackctl-${name}.conf`;
}

/** Where what is added to a package's unit is. */
function folderOf({ unit }: Pick<SystemdUnitSpec, "unit">): string {
  return `/etc/systemd/system/${unit}.d`;
}

/** Digest of what it was last started with, or that systemd was last told to read; empty while that is due. */
function loadedOf(name: string): string {
  return `${hostPaths.state}/unit-${name}.loaded`;
}

/** Of its text, and, where it runs, of the files that it reads at its start, as they are now. */
function digest({ host }: Context, { text, configuration, active }: SystemdUnitSpec): string {
  const hash = createHash("sha256").update(text);
  if (!active) return hash.digest("hex");
  for (const file of configuration.toSorted()) hash.update(JSON.stringify([file, host.files.read(file)]));
  return hash.digest("hex");
}
