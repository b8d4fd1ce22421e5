import { ports, type Credentials } from "@stackctl/protocol";
import { keystoneSecrets, region } from "../services/keystone.ts";
import { endpointUrls } from "../services/places.ts";
import type { CompileContext } from "../services/service.ts";
import type { Vault } from "../vault/vault.ts";

/** How to log in to the cloud as its admin. @throws StackctlError `secret_missing` */
export function credentialsOf(
  context: CompileContext,
  vault: Pick<Vault, "reveal">,
  authority: string,
): Credentials {
  return {
    cloud: context.cloud.name,
    authUrl: endpointUrls(context, { port: ports.keystone, path: "/v3" }).public,
    region,
    user: "admin",
    password: vault.reveal(keystoneSecrets.admin),
    project: "admin",
    domain: "Default",
    authority,
  };
}
