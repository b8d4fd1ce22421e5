import { createHash } from "node:crypto";
import { hostPaths, StackctlError, type KeyRingSpec } from "@stackctl/protocol";
import type { Behaviour, Context, State } from "../engine/resource.ts";
import type { Host } from "../host/host.ts";
import { modeOf } from "./file.ts";

const keyMode = 0o600;
const folderMode = 0o700;

/** A key as keystone takes it: 32 bytes in base64 for URLs (cryptography's Fernet). Of anything else nobody can have signed. */
const fernetKey = /^[A-Za-z0-9_-]{43}=$/;

/** What is on the disk at an index: the key that should be there, another one that we made, a valid one that we did not, or rubbish. */
type Found = "current" | "ours" | "foreign" | "no key";

/**
 * Keeps a folder of keys as the server made it. A key that it does not know may have signed what somebody holds: it is
 * reported, and nothing of the folder is touched. Files are renamed in one by one, in an order in which every state in
 * between is a ring with which everything signed so far is known.
 */
export const keyRing: Behaviour<"key-ring"> = {
  read(context, spec, name): State {
    const { files } = context.host;
    const found = foundKeys(context, spec, name);
    const indices = [...new Set([...found.keys(), ...spec.keys.map(({ index }) => index)])];
    const owners = [...found.keys()].map((index) => ownerOf(context.host, file(spec, index)));
    const folder = files.stat(spec.path);
    return {
      folder: folder === null ? null : ownerOf(context.host, spec.path),
      keys: ringText(indices.map((index) => [index, found.get(index) ?? "missing"])),
      files: owners.length === 0 ? null : [...new Set(owners)].toSorted().join(", "),
    };
  },
  desired: (spec): State => ({
    folder: `${String(spec.owner)}:${String(spec.group)} ${modeOf(folderMode) ?? ""}`,
    keys: ringText(spec.keys.map(({ index }) => [index, "current"])),
    files: `${String(spec.owner)}:${String(spec.group)} ${modeOf(keyMode) ?? ""}`,
  }),
  apply(context, spec, _changes, name) {
    const { files } = context.host;
    const found = foundKeys(context, spec, name);
    const foreign = [...found].filter(([, what]) => what === "foreign").map(([index]) => index);
    if (foreign.length > 0) throw foreignKeys(spec, foreign);
    const wanted = keyRing.desired(spec, context, name);
    const owner = { uid: spec.owner, gid: spec.group };
    // Before any of them is there: whatever a kill leaves is known as ours.
    remember(context, spec, name);
    if (ownerOf(context.host, spec.path) !== wanted["folder"]) files.makeFolder(spec.path, folderMode, owner);
    // The signing key first, so that 0 is only taken from who has it elsewhere already; what goes, goes last.
    const order = spec.keys.toSorted((a, b) => b.index - a.index);
    for (const { index, key } of order) {
      const path = file(spec, index);
      if (found.get(index) !== "current" || ownerOf(context.host, path) !== wanted["files"])
        files.write(path, context.reveal(key), keyMode, owner);
    }
    for (const index of found.keys())
      if (!spec.keys.some((each) => each.index === index)) files.remove(file(spec, index));
    return Promise.resolve();
  },
  remove(context, spec, name) {
    const { files } = context.host;
    for (const [index, what] of foundKeys(context, spec, name))
      if (what !== "foreign") files.remove(file(spec, index));
    files.removeFolder(spec.path);
    files.remove(record(name));
    return Promise.resolve();
  },
  owns: ({ path }) => [`path:${path}`],
  // Foreign keys are all that a removal leaves.
  keeps: ({ host: { files } }, spec) =>
    indicesIn(files.list(spec.path)).some((index) => !spec.keys.some((each) => each.index === index))
      ? spec.path
      : null,
  restarts: () => [],
  // Keystone reads a ring anew for every token (keystone/token/token_formatters.py, 22.0.2): nothing is restarted.
  disrupts: () => null,
  watch: (spec) => ({ files: spec.keys.map(({ index }) => file(spec, index)) }),
  outputs: ({ host }, spec) =>
    Promise.resolve({ generation: String(spec.generation), hash: ringHash(host, spec) }),
  health(context, spec) {
    const ok = spec.keys.every(
      ({ index, key }) => context.host.files.read(file(spec, index)) === context.reveal(key),
    );
    return Promise.resolve({
      cluster: `keys-${spec.path.slice(spec.path.lastIndexOf("/") + 1)}`,
      state: `generation ${String(spec.generation)}`,
      size: spec.keys.length,
      id: ringHash(context.host, spec),
      ok,
    });
  },
};

/** Of the files as they are; keys are random enough that nothing of them is told by it. */
function ringHash({ files }: Host, spec: KeyRingSpec): string {
  const hash = createHash("sha256");
  for (const index of indicesIn(files.list(spec.path)))
    hash.update(JSON.stringify([index, files.read(file(spec, index))]));
  return hash.digest("hex");
}

function foundKeys(context: Context, spec: KeyRingSpec, name: string): Map<number, Found> {
  const { files } = context.host;
  const known = new Set([
    ...(files.read(record(name)) ?? "").split("\n"),
    ...spec.keys.map(({ key }) => digest(context.reveal(key))),
  ]);
  return new Map(
    indicesIn(files.list(spec.path)).map((index) => {
      const text = (files.read(file(spec, index)) ?? "").trim();
      const wanted = spec.keys.find((each) => each.index === index);
      if (wanted !== undefined && text === context.reveal(wanted.key)) return [index, "current"];
      return [index, !fernetKey.test(text) ? "no key" : known.has(digest(text)) ? "ours" : "foreign"];
    }),
  );
}

/** Keystone takes files whose name is a number, and no others (keystone/common/fernet_utils.py, 22.0.2). */
function indicesIn(names: readonly string[]): number[] {
  return names
    .filter((name) => /^(0|[1-9][0-9]{0,8})$/.test(name))
    .map(Number)
    .toSorted((a, b) => a - b);
}

function ringText(keys: readonly (readonly [number, string])[]): string {
  return keys
    .toSorted(([a], [b]) => a - b)
    .map(([index, what]) => `${String(index)} ${what}`)
    .join(", ");
}

function remember({ host, reveal }: Context, { keys }: KeyRingSpec, name: string): void {
  const before = host.files.read(record(name));
  const known = (before ?? "").split("\n").filter((line) => line !== "");
  const all = [...new Set([...known, ...keys.map(({ key }) => digest(reveal(key)))])];
  const text = `${all.join("\n")}\n`;
  if (text !== before) host.files.write(record(name), text, 0o600);
}

/** @returns error `keys_foreign` */
function foreignKeys({ path }: KeyRingSpec, indices: readonly number[]): StackctlError {
  const names = indices.map((index) => `${path}/${String(index)}`).join(" ");
  return new StackctlError(
    "keys_foreign",
    `${names}: keys that this cloud did not make; nothing is overwritten`,
    {
      details: {
        remedy: `if nobody holds a token that they signed, on the host: rm ${names}`,
      },
    },
  );
}

/** Digests of all keys that we ever put there: those of a former ring are known by it. */
function record(name: string): string {
  return `${hostPaths.state}/keys/${name}`;
}

function file({ path }: KeyRingSpec, index: number): string {
  return `${path}/${String(index)}`;
}

function digest(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}

function ownerOf({ files }: Host, path: string): string | null {
  const stat = files.stat(path);
  return stat === null ? null : `${String(stat.uid)}:${String(stat.gid)} ${modeOf(stat.mode) ?? ""}`;
}
