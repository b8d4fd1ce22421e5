import { homedir } from "node:os";
import { resourceId, secretRef, type Resource, type SecretRef, type ShownValue } from "@stackctl/protocol";
import { modelOf } from "../config/checks.ts";
import { byDefault, type Cloud, type LoadedCloud } from "../config/model.ts";
import type { CloudFile } from "../config/schema.ts";
import { fileOf, leavesOf, originOf, valueAt } from "../config/show.ts";
import type { CompileContext } from "../services/service.ts";
import type { CompiledDocument, CompiledHost } from "./compile.ts";

/** Where a secret's value is, and nowhere else. */
const fromVault = "vault";
/** Where it is from what the server made or recorded. */
const fromServer = "server";
/** Of so many hosts at most each key is tried; what follows from another one is said to be from its resource's line. */
const triedHosts = 30;

/** One value of a resource's desired state. */
export interface SpecValue {
  /** Dotted path in the spec. */
  readonly field: string;
  readonly value: ShownValue;
  /** True: it is, or holds, a secret's name and version in place of the secret. */
  readonly secret: boolean;
}

/** A spec's values as they are shown: secrets as words, a file's content as its text. Pure. */
export function specValues(resource: Resource): SpecValue[] {
  const spec =
    resource.type === "file"
      ? {
          ...resource.spec,
          content: resource.spec.content
            .map((part) => ("text" in part ? part.text : `<${secretWords(part.secret)}>`))
            .join(""),
        }
      : resource.spec;
  return leavesOf(withWords(spec)).map(({ path, value }) => ({
    field: path.join("."),
    value,
    secret: holdsSecret(valueAt(resource.spec, path)),
  }));
}

/** What it is compiled from: a cloud, and what the server knows beside it. */
export type Compile = (cloud: Cloud, more?: Partial<CompileContext>) => CompiledHost;

/**
 * What each value of a host's documents follows from. Compiling is pure, so that is found out: each key of the file
 * is changed a little, the host compiled again, and whatever differs follows from it.
 * @param compile compiles the host that is at `index` in the order of the file
 * @returns for a value: lines of the file, `vault`, `server`; else `default`
 */
export function originsOf(
  loaded: LoadedCloud,
  context: CompileContext,
  index: number,
  compile: Compile,
): (document: CompiledDocument, resource: Resource, value: SpecValue) => string[] {
  const { written, filled } = fileOf(loaded);
  const before = flat(compile(loaded.cloud));
  const found = new Map<string, Set<string>>();
  const note = (origin: string, changed: () => CompiledHost): void => {
    let after: ReadonlyMap<string, string>;
    try {
      after = flat(changed());
    } catch {
      // The changed key makes no cloud, such as a network that is none: nothing is learnt from it.
      return;
    }
    for (const [place, value] of before) {
      // Gone is no different value: then the resource as a whole follows from the key, and says so itself.
      if (!after.has(place) || after.get(place) === value) continue;
      found.set(place, (found.get(place) ?? new Set()).add(origin));
    }
  };
  const hosts = triedOf(loaded.cloud, index);
  for (const { path, file } of variants(filled, hosts))
    note(originOf(loaded, written, path), () => compile(modelOf(file, homedir())));
  const { images, certificates, rebootOrders, rings } = context;
  const other = (text: string): string => text.replace(/[0-9a-f]/g, (digit) => (digit === "0" ? "1" : "0"));
  for (const more of [
    { certificates: { authority: `${certificates.authority} `, registry: `${certificates.registry} ` } },
    {
      images: new Map(
        [...images].map(([name, image]) => [
          name,
          { ...image, id: other(image.id), digest: image.digest === null ? null : other(image.digest) },
        ]),
      ),
    },
    {
      rings: new Map([...rings].map(([name, ring]) => [name, { ...ring, generation: ring.generation + 1 }])),
    },
    { rebootOrders: new Map([...rebootOrders].map(([host, bootId]) => [host, other(bootId)])) },
  ])
    note(fromServer, () => compile(loaded.cloud, more));

  const everyKeyTried = hosts.size === loaded.cloud.hosts.length;
  return ({ service, origins }, resource, { field, secret }) => {
    const all = [...(found.get(placeOf(service, resourceId(resource), field)) ?? [])];
    const told = [...all.filter((origin) => origin !== byDefault), ...(secret ? [fromVault] : [])];
    if (told.length > 0) return told;
    return [all.length > 0 || everyKeyTried ? byDefault : (origins[resourceId(resource)] ?? byDefault)];
  };
}

/** The file with one key changed each time; a host's own name is a key, too. Choices such as a role are left as they are. */
function* variants(
  file: CloudFile,
  hosts: ReadonlySet<string>,
): Generator<{ readonly path: readonly string[]; readonly file: CloudFile }> {
  for (const { path, value } of leavesOf(file)) {
    const [first, second = "", third] = path;
    if (first === "hosts" && (!hosts.has(second) || third === "role")) continue;
    for (const changed of changedValues(value)) yield { path, file: withValue(file, path, changed) };
  }
  for (const name of hosts) {
    const renamed = Object.entries(file.hosts).map(([key, host]) => [key === name ? `${key}x` : key, host]);
    yield {
      path: ["hosts", name],
      file: { ...file, hosts: Object.fromEntries(renamed) as CloudFile["hosts"] },
    };
  }
}

/** Other values of much the same form, each with another part of it changed; none: none is known. */
function changedValues(value: ShownValue): ShownValue[] {
  if (typeof value === "number") return [value + 1];
  if (Array.isArray(value))
    return value.length === 0 ? [] : [value.map((each) => (typeof each === "string" ? `x${each}` : each))];
  if (typeof value !== "string") return [];
  const network = /^(\d+\.)(\d+)(\.\d+\.\d+\/\d+)$/.exec(value);
  if (network !== null) return [`${network[1] ?? ""}${otherPart(network[2] ?? "")}${network[3] ?? ""}`];
  // Of a URL its user, its host and its port may go different ways; of anything else the end stands for all of it.
  const parts = [...value.matchAll(/[A-Za-z]+|\d+/g)];
  const changed = value.includes("://") ? parts : parts.slice(-1);
  return changed.map(
    ({ 0: part, index }) => value.slice(0, index) + otherPart(part) + value.slice(index + part.length),
  );
}

function otherPart(part: string): string {
  return /^\d/.test(part) ? String(Number(part) ^ 1) : `${part}x`;
}

function withValue(file: CloudFile, path: readonly string[], value: ShownValue): CloudFile {
  const copy = structuredClone(file);
  const parent = valueAt(copy, path.slice(0, -1)) as Record<string, unknown>;
  parent[path.at(-1) ?? ""] = value;
  return copy;
}

/** The host itself, the controllers, and others in the order of the file, up to a number. */
function triedOf({ hosts }: Cloud, index: number): ReadonlySet<string> {
  const self = hosts.filter((_, each) => each === index);
  const controllers = hosts.filter(({ role }) => role === "controller");
  return new Set(
    [...self, ...controllers, ...hosts].slice(0, triedHosts + controllers.length).map(({ name }) => name),
  );
}

function flat({ documents }: CompiledHost): Map<string, string> {
  return new Map(
    documents.flatMap(({ service, resources }) =>
      resources.flatMap((resource) =>
        specValues(resource).map(({ field, value }): [string, string] => [
          placeOf(service, resourceId(resource), field),
          JSON.stringify(value),
        ]),
      ),
    ),
  );
}

function placeOf(service: string, id: string, field: string): string {
  return `${service} ${id} ${field}`;
}

/** The same tree with every reference to a secret in words. */
function withWords(tree: unknown): unknown {
  if (typeof tree !== "object" || tree === null) return tree;
  const reference = secretRef.safeParse(tree);
  if (reference.success) return secretWords(reference.data);
  if (Array.isArray(tree)) return tree.map(withWords);
  return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, withWords(value)]));
}

function holdsSecret(tree: unknown): boolean {
  if (typeof tree !== "object" || tree === null) return false;
  return secretRef.safeParse(tree).success || Object.values(tree).some(holdsSecret);
}

function secretWords({ secret, version }: SecretRef): string {
  return `secret ${secret} version ${String(version)}`;
}
