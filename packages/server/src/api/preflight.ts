import { factsAnswer, type PreflightRow, type Scope } from "@stackctl/protocol";
import { sshFacts, sshPackagesProblem } from "../bootstrap/facts.ts";
import { judge, namesNeeded, unreachableRow } from "../bootstrap/preflight.ts";
import type { Logins } from "../bootstrap/logins.ts";
import { proxyPasswordSecret, type Cloud, type CloudHost } from "../config/model.ts";
import type { Questions } from "../fleet/ask.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Publisher } from "../run/publisher.ts";
import { hostsOf } from "../run/scope.ts";
import { proxyResource } from "../services/host.ts";
import type { Store } from "../store/store.ts";
import type { Vault } from "../vault/vault.ts";

export interface PreflightOptions {
  readonly store: Store;
  readonly logins: Logins;
  readonly vault: Vault;
  readonly fleet: Fleet;
  readonly questions: Questions;
  readonly publisher: Publisher;
}

/** Looks at every host of the scope at once, read-only: through its agent where there is one, else over SSH. */
export async function preflight(
  cloud: Cloud,
  scope: Scope,
  options: PreflightOptions,
): Promise<PreflightRow[]> {
  return Promise.all(
    hostsOf(cloud, scope).map(async (host) => {
      try {
        return options.fleet.presence(host.name)?.state === "ok"
          ? await byAgent(host, cloud, options)
          : await bySsh(host, cloud, options);
      } catch (error) {
        return unreachableRow(host, error);
      }
    }),
  );
}

/** What apt would fetch first; proves mirror and proxy in one go. */
export function packagesUrl(cloud: Cloud): string {
  return `${cloud.packages.mirror ?? "http://deb.debian.org/debian"}/dists/bookworm/InRelease`;
}

async function byAgent(host: CloudHost, cloud: Cloud, options: PreflightOptions): Promise<PreflightRow> {
  const { store, vault, questions, publisher } = options;
  const agent = store.agent(host.name);
  if (agent === null) throw new Error(`${host.name} is not enrolled`);
  const proxy = proxyResource(cloud, (name) => vault.needVersion(name));
  const packages = {
    url: packagesUrl(cloud),
    proxy: proxy?.spec ?? null,
    sealed: publisher.seal(agent, { resources: proxy === null ? [] : [proxy] }),
  };
  const names = namesNeeded(host, cloud).map(({ name }) => name);
  const asked = await questions.ask(host.name, { kind: "facts", packages, names }, 28_000);
  const { facts, packagesProblem } = factsAnswer.parse(asked);
  return judge(host, cloud, {
    facts,
    packagesProblem,
    serverTimeMs: Date.now(),
    via: "agent",
    cluster: clusterOf(store),
  });
}

async function bySsh(
  host: CloudHost,
  cloud: Cloud,
  { store, logins, vault }: PreflightOptions,
): Promise<PreflightRow> {
  const session = await logins.connect(host, cloud);
  try {
    const facts = await sshFacts(
      session,
      namesNeeded(host, cloud).map(({ name }) => name),
    );
    const serverTimeMs = Date.now();
    const packagesProblem = await sshPackagesProblem(session, {
      url: packagesUrl(cloud),
      proxyUrl: cloud.packages.proxy,
      proxyUser: cloud.packages.proxyUser,
      proxyPassword: cloud.packages.proxyUser === null ? null : vault.reveal(proxyPasswordSecret),
    });
    return judge(host, cloud, {
      facts,
      packagesProblem,
      serverTimeMs,
      via: "ssh",
      cluster: clusterOf(store),
    });
  } finally {
    session.close();
  }
}

function clusterOf(store: Store): string {
  const cloud = store.cloud();
  if (cloud === null) throw new Error("the store holds no cloud");
  return cloud.cluster;
}
