import * as z from "zod/mini";

/** Name of a release and of its folder: the version it belongs to, and a mark of what is in it. */
export const releaseName = z.string().check(z.regex(/^\d{1,4}\.\d{1,4}\.\d{1,4}-[0-9a-f]{8}$/));

/** The files that a release consists of: all that an agent needs on bare Debian. */
export const releaseFileName = z.enum(["node", "libatomic.so.1", "agent.cjs", "stackctl-agent.service"]);
export type ReleaseFileName = z.infer<typeof releaseFileName>;

/** One file of a release, sent as gzip. */
export const releaseFile = z.strictObject({
  name: releaseFileName,
  /** SHA-256 of the file itself, hex. */
  sha256: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  sizeBytes: z.int().check(z.positive(), z.maximum(1 << 29)),
  /** Of its gzip, as it is sent. */
  archiveBytes: z.int().check(z.positive(), z.maximum(1 << 29)),
});
export type ReleaseFile = z.infer<typeof releaseFile>;

/** What a release is, exactly. It is believed because the request that carries it is signed. */
export const releaseManifest = z.strictObject({
  release: releaseName,
  /** Version of the product that it belongs to; an agent takes none that is older than itself. */
  version: z.string().check(z.regex(/^\d{1,4}\.\d{1,4}\.\d{1,4}$/)),
  files: z.array(releaseFile).check(z.minLength(1), z.maxLength(releaseFileName.options.length)),
});
export type ReleaseManifest = z.infer<typeof releaseManifest>;

/** Bytes of a file in one piece: as base64 within JSON, with header and signature, below what a message may have. */
export const releasePieceBytes = 176 * 1024;

/** How long a host runs a release that nobody has confirmed before it goes back by itself, seconds. */
export const confirmSeconds = 40;

/** What the server asks about releases; each is answered by {@link releaseAnswer}. Every one is safe to repeat. */
export const releaseRequests = [
  /** This is to be there: what is missing of it? */
  z.strictObject({ kind: z.literal("release-offer"), manifest: releaseManifest }),
  /** A piece of a file that was said to be missing, from exactly there on. */
  z.strictObject({
    kind: z.literal("release-piece"),
    release: releaseName,
    name: releaseFileName,
    offset: z.int().check(z.nonnegative()),
    bytes: z.string().check(z.minLength(4), z.maxLength(Math.ceil(releasePieceBytes / 3) * 4)),
  }),
  /** Run this one, which is there whole. Unless it is confirmed in time, the host goes back by itself. */
  z.strictObject({ kind: z.literal("release-start"), release: releaseName }),
  /** The server sees that this one is well: the host stays with it. Answered only by an agent of that release. */
  z.strictObject({ kind: z.literal("release-confirm"), release: releaseName }),
] as const;

export const releaseAnswer = z.strictObject({
  /** Null: it was done. Else why not, in a sentence. */
  problem: z.nullable(
    z.strictObject({
      code: z.enum(["upgrade_refused", "disk_full", "upgrade_failed"]),
      message: z.string().check(z.maxLength(2000)),
    }),
  ),
  /** What is missing of the release that the request is about, each from where on. */
  missing: z.array(z.strictObject({ name: releaseFileName, offset: z.int().check(z.nonnegative()) })),
  /** The release that this very agent runs. */
  running: z.nullable(z.string().check(z.maxLength(200))),
});
export type ReleaseAnswer = z.infer<typeof releaseAnswer>;
