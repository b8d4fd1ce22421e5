import { ports, type ImageSetSpec } from "@stackctl/protocol";
import { registryPasswordSecret, type Cloud } from "../config/model.ts";
import { registryHost } from "./host.ts";
import type { CompileContext } from "./service.ts";

/** Name and port of the cloud's own registry. */
export function registryName(cloud: Cloud): string {
  return `${registryHost(cloud)}:${String(ports.registry)}`;
}

/** The controller whose registry is pushed to: as a person chose it, while it is a controller; else the primary. */
export function registryPrimaryOf(cloud: Cloud, chosen: string | null, primary: string): string {
  const isController = cloud.hosts.some(({ name, role }) => name === chosen && role === "controller");
  return chosen !== null && isController ? chosen : primary;
}

/** True: the cloud has a registry of its own on the controllers. */
export function internalRegistry(cloud: Cloud): boolean {
  return cloud.registry === null;
}

/** The registry that images are pushed to and pulled from. */
export function registryAt(context: CompileContext): NonNullable<ImageSetSpec["registry"]> {
  const outside = context.cloud.registry;
  if (outside === null)
    return { name: registryName(context.cloud), ca: context.certificates.authority, login: null };
  const { name, ca, user } = outside;
  const secret = registryPasswordSecret;
  const login = user === null ? null : { user, password: { secret, version: context.secretVersion(secret) } };
  return { name, ca, login };
}
