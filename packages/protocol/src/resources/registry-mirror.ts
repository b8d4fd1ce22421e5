import * as z from "zod/mini";
import { imageName, sha256 } from "./container.ts";
import { registryName } from "./docker-engine.ts";

/** Images that this host's own registry must hold, copied from another registry of the cloud. The resource's name is always `images`. */
export const registryMirrorSpec = z.strictObject({
  /** The name that both have, and that their certificates are for. */
  registry: registryName,
  ca: z.string().check(z.maxLength(16384)),
  /** Addresses of the registry of this host, and of the ones to copy from, tried in order. */
  own: z.ipv4(),
  from: z.array(z.ipv4()).check(z.minLength(1), z.maxLength(8)),
  images: z
    .array(
      z.strictObject({ name: imageName, tag: z.string().check(z.regex(/^[0-9a-f]{64}$/)), digest: sha256 }),
    )
    .check(z.maxLength(60)),
});
export type RegistryMirrorSpec = z.infer<typeof registryMirrorSpec>;
