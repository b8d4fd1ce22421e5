import { createHash } from "node:crypto";
import {
  createReadStream,
  createWriteStream,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { Transform, type Readable } from "node:stream";
import { StackctlError } from "@stackctl/protocol";
import { readOrNull, writeAtomically } from "./files.ts";
import { storedImage, type Blob, type BlobSource, type StoredImage } from "./registry.ts";

/** Whoever makes this folder on a host lets images be kept there; nothing depends on it. */
const folder = "/var/cache/stackctl/images";
/** Debian's lists change several times a week, and each time all images are others. */
const keptMs = 4 * 86_400_000;
/** Longer than it takes to keep the largest image. */
const halfMs = 86_400_000;
const aptLists = "/var/lib/apt/lists";

/**
 * Images by what they were made of: `keys/<key>` is a manifest, `blobs/<hex>` are its parts. Written by
 * rename only, so several hosts may share one folder, and what a killed one left is not mistaken for an image.
 */
export class ImageCache {
  readonly #folder: string;

  constructor(where: string = folder) {
    this.#folder = where;
  }

  /** False: nobody asked for a cache on this host. */
  get wanted(): boolean {
    return existsSync(this.#folder);
  }

  /** The image of a recipe, made of the packages that the host's lists name now; null: there is none, or not all of it. */
  find(recipeDigest: string): StoredImage | null {
    const key = join(this.#folder, "keys", keyOf(recipeDigest));
    const text = readOrNull(key);
    if (text === null) return null;
    const image = storedImage(text);
    if (!image.blobs.every((blob) => existsSync(this.path(blob)))) return null;
    // Used is as good as new: what is not for long goes.
    utimesSync(key, new Date(), new Date());
    return image;
  }

  /** Keeps an image, its blobs taken from `source` where they are missing. */
  async keep(recipeDigest: string, image: StoredImage, source: BlobSource): Promise<void> {
    mkdirSync(join(this.#folder, "blobs"), { recursive: true });
    for (const blob of image.blobs) {
      if (existsSync(this.path(blob))) continue;
      const half = `${this.path(blob)}.${String(process.pid)}`;
      await pipeline(await source(blob), checked(blob), createWriteStream(half, { mode: 0o644 }));
      renameSync(half, this.path(blob));
    }
    writeAtomically(join(this.#folder, "keys", keyOf(recipeDigest)), image.text, 0o644);
    this.clean(Date.now());
  }

  /**
   * Takes away images that nobody asked for in {@link keptMs}, then the parts that no image has. Parts come before their
   * image: young ones are left alone, for another host may be about to name them.
   */
  clean(nowMs: number): void {
    const old = (path: string, ms: number): boolean => {
      const stat = statSync(path, { throwIfNoEntry: false });
      return stat !== undefined && stat.mtimeMs < nowMs - ms;
    };
    const inside = (...parts: string[]): string[] => {
      const where = join(this.#folder, ...parts);
      return existsSync(where) ? readdirSync(where).map((name) => join(where, name)) : [];
    };
    for (const key of inside("keys")) if (old(key, keptMs)) rmSync(key, { force: true });
    const named = new Set(
      inside("keys").flatMap((key) => {
        const text = readOrNull(key);
        return text === null ? [] : storedImage(text).blobs.map((blob) => this.path(blob));
      }),
    );
    for (const path of inside("blobs"))
      if (!named.has(path) && old(path, halfMs)) rmSync(path, { force: true });
    for (const path of inside())
      if (path.startsWith(join(this.#folder, "load.")) && old(path, halfMs))
        rmSync(path, { recursive: true, force: true });
  }

  readonly blob: BlobSource = (blob): Readable => createReadStream(this.path(blob));

  /**
   * Lays an image out as `docker load` reads it (docker's image specification v1.2).
   * @returns the folder, which the caller removes
   */
  layOut(image: StoredImage, reference: string): string {
    const target = join(this.#folder, `load.${String(process.pid)}.${image.id.slice(-12)}`);
    rmSync(target, { recursive: true, force: true });
    mkdirSync(target, { recursive: true, mode: 0o700 });
    const [config, ...layers] = image.blobs;
    if (config === undefined) throw new Error("an image without configuration");
    const put = (blob: Blob, name: string): string => {
      linkSync(this.path(blob), join(target, name));
      return name;
    };
    const hex = (blob: Blob): string => blob.digest.slice("sha256:".length);
    const manifest = {
      Config: put(config, `${hex(config)}.json`),
      RepoTags: [reference],
      Layers: layers.map((layer) => put(layer, `${hex(layer)}.tar`)),
    };
    writeAtomically(join(target, "manifest.json"), JSON.stringify([manifest]), 0o600);
    return target;
  }

  /** The path of a blob's file. */
  path(blob: Blob): string {
    return join(this.#folder, "blobs", blob.digest.slice("sha256:".length));
  }
}

/** Lets bytes through and fails at the end when they are not the blob. */
export function checked(blob: Blob): Transform {
  const hash = createHash("sha256");
  return new Transform({
    transform(part: Buffer, _encoding, done) {
      hash.update(part);
      done(null, part);
    },
    flush(done) {
      const found = `sha256:${hash.digest("hex")}`;
      done(
        found === blob.digest
          ? null
          : new StackctlError("registry_refused", `a blob is not what it should be`, {
              retryable: true,
              details: { expected: blob.digest, found },
            }),
      );
    },
  });
}

/** What an image is made of: its recipe, and the packages that the host's lists name, as Debian signed them. */
function keyOf(recipeDigest: string): string {
  const hash = createHash("sha256").update(recipeDigest);
  const names = existsSync(aptLists) ? readdirSync(aptLists) : [];
  for (const name of names.filter((each) => each.endsWith("InRelease")).toSorted())
    hash.update(name.replace(/^.*_dists_/, "")).update(readFileSync(join(aptLists, name)));
  return hash.digest("hex");
}
