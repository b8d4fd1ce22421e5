import type { ConfigView, ShownValue } from "@stackctl/protocol";
import { parseDocument } from "yaml";
import { byDefault, type LoadedCloud } from "./model.ts";
import { cloudSchema, type CloudFile } from "./schema.ts";

/** One value within a tree of keys. */
export interface Leaf {
  readonly path: readonly string[];
  readonly value: ShownValue;
}

/** The file's keys as they were written and with every default filled in. The file was loaded before, so it is right. */
export function fileOf({ text }: LoadedCloud): { readonly written: unknown; readonly filled: CloudFile } {
  const written: unknown = parseDocument(text).toJS({ maxAliasCount: 0 });
  return { written, filled: cloudSchema.parse(written) };
}

/** Where a key stands, such as `cloud.yaml:24`; `default` when it is not in the file. */
export function originOf(loaded: LoadedCloud, written: unknown, path: readonly string[]): string {
  return valueAt(written, path) === undefined ? byDefault : loaded.origin(path);
}

/** The cloud as it is understood, each value with where it is from. Holds no secret: the file has no place for one. Pure. */
export function configOf(loaded: LoadedCloud): ConfigView {
  const { cloud, file } = loaded;
  const { written, filled } = fileOf(loaded);
  // What a key left out means for a host or for this machine, only the model knows.
  const understood = {
    ...filled,
    ssh: { ...filled.ssh, privateKey: cloud.ssh.privateKey },
    hosts: Object.fromEntries(
      cloud.hosts.map(({ name, role, addresses, vipPriority, sshPort, hostKey }) => [
        name,
        {
          role,
          address: addresses.management,
          public: addresses.public,
          data: addresses.data,
          ...(vipPriority === null ? {} : { vipPriority }),
          sshPort,
          hostKey,
          ...filled.hosts[name],
        },
      ]),
    ),
  };
  return {
    cloud: cloud.name,
    file,
    values: leavesOf(understood).map(({ path, value }) => ({
      key: path.join("."),
      value,
      origin: originOf(loaded, written, path),
    })),
  };
}

/** Every value of a tree with its path: what is plain, and lists of what is plain. What is not there is left out. Pure. */
export function leavesOf(tree: unknown, path: readonly string[] = []): Leaf[] {
  if (tree === undefined) return [];
  if (isPlain(tree) || tree === null) return [{ path, value: tree }];
  if (Array.isArray(tree) && tree.every(isPlain)) return [{ path, value: tree }];
  return Object.entries(tree).flatMap(([key, value]) => leavesOf(value, [...path, key]));
}

/** The value at a path of keys; undefined: there is none. */
export function valueAt(tree: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      typeof inner === "object" && inner !== null && Object.hasOwn(inner, key)
        ? (inner as Record<string, unknown>)[key]
        : undefined,
    tree,
  );
}

function isPlain(value: unknown): value is string | number | boolean {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}
