import { resourceId, type NamesView } from "@stackctl/protocol";
import { proxyPasswordSecret, registryPasswordSecret, type LoadedCloud } from "../config/model.ts";
import { ringNames } from "../keys/rings.ts";
import { primaryOf } from "../run/planner.ts";
import { localImage, recipesOf } from "../services/images.ts";
import { services } from "../services/index.ts";
import type { CompileContext } from "../services/service.ts";
import { compileHost } from "./compile.ts";

/** The words that a cloud's file and the services give names to. Pure: needs neither server nor host. */
export function namesOf(loaded: LoadedCloud): NamesView {
  const { cloud } = loaded;
  const digest = `sha256:${"0".repeat(64)}`;
  // Names depend on no secret, certificate or image; images are said to be there so that nothing waits for them.
  const context: CompileContext = {
    cloud,
    secretVersion: () => 1,
    rebootOrders: new Map(),
    primary: primaryOf(cloud, null),
    registryPrimary: primaryOf(cloud, null),
    images: new Map(
      recipesOf(cloud, new Map()).flatMap(({ name, digest: recipe }) =>
        [name, localImage(name)].map((key) => [key, { recipe, id: digest, digest }] as const),
      ),
    ),
    imageBuilds: new Map(),
    galera: { uuid: "00000000-0000-0000-0000-000000000000", looks: new Map() },
    rings: new Map(ringNames.map((name) => [name, { generation: 1, keys: { 0: 2, 1: 1 } }])),
    certificates: { authority: "", registry: "" },
  };
  return {
    hosts: cloud.hosts.map(({ name }) => name),
    services: services.map(({ name }) => name),
    secrets: [proxyPasswordSecret, registryPasswordSecret],
    resources: Object.fromEntries(
      cloud.hosts.map((host) => [
        host.name,
        compileHost(host, context, (path) => loaded.origin(path), []).documents.flatMap(({ resources }) =>
          resources.map(resourceId),
        ),
      ]),
    ),
  };
}
