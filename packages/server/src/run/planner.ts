import { createHash } from "node:crypto";
import {
  canonicalJson,
  planAnswer,
  resourceId,
  StackctlError,
  type PlanResult,
  type ResourceOutcome,
  type Scope,
} from "@stackctl/protocol";
import {
  compileHost,
  stepsBefore,
  stepsOf,
  withCause,
  type CompiledDocument,
  type CompiledHost,
} from "../compile/compile.ts";
import type { Cloud, CloudHost, LoadedCloud } from "../config/model.ts";
import type { CompileContext } from "../services/service.ts";
import type { Questions } from "../fleet/ask.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { AgentRow, Store } from "../store/store.ts";
import type { Vault } from "../vault/vault.ts";
import type { Publisher } from "./publisher.ts";
import { registryPrimaryOf } from "../services/registry-name.ts";
import { hostsOf } from "./scope.ts";

/** How long a host may take to say what would change. */
const planTimeoutMs = 8000;

/** What one host said of the documents it was shown. */
export type HostPlan =
  | {
      readonly state: "known";
      readonly services: ReadonlyMap<
        string,
        { readonly held: boolean; readonly resources: readonly ResourceOutcome[] }
      >;
    }
  | { readonly state: "new" | "unreachable" };

/** Compiles the cloud and asks the hosts what it would change. Changes nothing anywhere. */
export class Planner {
  readonly #store: Store;
  readonly #vault: Vault;
  readonly #fleet: Fleet;
  readonly #questions: Questions;
  readonly #publisher: Publisher;

  readonly #certificates: () => CompileContext["certificates"];

  constructor(
    store: Store,
    vault: Vault,
    fleet: Fleet,
    questions: Questions,
    publisher: Publisher,
    certificates: () => CompileContext["certificates"],
  ) {
    this.#certificates = certificates;
    this.#store = store;
    this.#vault = vault;
    this.#fleet = fleet;
    this.#questions = questions;
    this.#publisher = publisher;
  }

  /** The documents of one host as the cloud wants them now. */
  compile(loaded: LoadedCloud, host: CloudHost): CompiledHost {
    const context = this.context(loaded);
    const held = this.#store
      .documents(host.name)
      .filter(
        ({ body }) => body.resources.length > 0 || !this.#acknowledged(host.name, body.service, body.digest),
      )
      .map(({ service }) => service);
    const left = this.#fleet.presence(host.name)?.status?.left ?? [];
    return compileHost(host, context, (path) => loaded.origin(path), [...new Set([...held, ...left])]);
  }

  /** The steps of other hosts that a step waits for. */
  before(loaded: LoadedCloud, host: CloudHost, service: string): ReturnType<typeof stepsBefore> {
    return stepsBefore(service, host, this.context(loaded));
  }

  /** What services may look at, beside the host, as it is now. */
  context({ cloud }: LoadedCloud): CompileContext {
    const primary = primaryOf(cloud, this.#store.primary());
    return {
      cloud,
      secretVersion: (name) => this.#vault.needVersion(name),
      rebootOrders: this.#store.rebootOrders(),
      primary,
      registryPrimary: registryPrimaryOf(cloud, this.#store.registryPrimary(), primary),
      images: this.#store.images(),
      imageBuilds: this.#store.imageBuilds(),
      galera: this.#galera(),
      rings: this.#store.rings(),
      certificates: this.#certificates(),
    };
  }

  #galera(): CompileContext["galera"] {
    const looks = this.#store.galeraLooks();
    return {
      uuid: this.#store.galera(),
      looks: new Map(this.#store.agents().map(({ host }) => [host, looks.get(host) ?? null])),
    };
  }

  /** Asks one host. A host that cannot answer is said to be unreachable, not an error. */
  async planHost(host: string, documents: readonly CompiledDocument[]): Promise<HostPlan> {
    const agent = this.#store.agent(host);
    if (agent === null) return { state: "new" };
    if (this.#fleet.presence(host)?.state !== "ok") return { state: "unreachable" };
    try {
      const answer = await this.#questions.ask(
        host,
        { kind: "plan", documents: documents.map((document) => this.#shown(agent, document)) },
        planTimeoutMs,
      );
      const { services } = planAnswer.parse(answer);
      return { state: "known", services: new Map(services.map((service) => [service.service, service])) };
    } catch (error) {
      if (error instanceof StackctlError && error.code === "agent_unreachable")
        return { state: "unreachable" };
      throw error;
    }
  }

  /** What an apply of this scope would do. */
  async plan(loaded: LoadedCloud, scope: Scope): Promise<PlanResult> {
    const hosts = hostsOf(loaded.cloud, scope);
    const compiled = new Map(hosts.map((host) => [host.name, this.compile(loaded, host)]));
    const documents = new Map([...compiled].map(([name, each]) => [name, each.documents]));
    const plans = new Map(
      await Promise.all(
        hosts.map(async ({ name }) => [name, await this.planHost(name, documents.get(name) ?? [])] as const),
      ),
    );
    const services = stepsOf(loaded.cloud, compiled)
      .map(({ service, hosts: names }) => ({
        service,
        hosts: names
          .map((name) => {
            const document = documents.get(name)?.find((each) => each.service === service);
            const plan = plans.get(name);
            const waits = compiled.get(name)?.waiting.get(service);
            if (plan !== undefined && waits !== undefined) {
              const resources: ResourceOutcome[] = [
                { id: `service/${service}`, outcome: "planned", why: waits, changes: [], restarts: [] },
              ];
              return { host: name, state: plan.state, resources, origins: {} };
            }
            if (document === undefined || plan === undefined)
              throw new Error(`${service} of ${name} was not compiled`);
            return {
              host: name,
              state: plan.state,
              resources: resourcesOf(plan, document),
              origins: document.origins,
            };
          })
          .filter(
            ({ state, resources }) =>
              state === "unreachable" || resources.some((resource) => resource.outcome === "planned"),
          ),
      }))
      .filter((service) => service.hosts.length > 0);

    const planned = services.flatMap(({ hosts: each }) =>
      each.flatMap(({ host, resources }) =>
        resources.filter(({ outcome }) => outcome === "planned").map((resource) => ({ host, resource })),
      ),
    );
    // What the plan depends on, beside what it shows: how often each host was changed. A change by hand that was put
    // back since still makes it stale, for the operator has not seen it.
    const world = [...documents].map(([name, each]) => [
      name,
      each.map(({ digest }) => digest),
      this.#store.changeCount(name),
    ]);
    return {
      hash: createHash("sha256")
        .update(canonicalJson([scope, services, world]))
        .digest("hex")
        .slice(0, 8),
      totals: {
        changes: planned.reduce((sum, { resource }) => sum + Math.max(1, resource.changes.length), 0),
        hosts: new Set(planned.map(({ host }) => host)).size,
        restarts: planned.reduce((sum, { resource }) => sum + resource.restarts.length, 0),
      },
      services,
    };
  }

  #acknowledged(host: string, service: string, digest: string): boolean {
    const applied = this.#store.applied(host, service);
    return applied?.digest === digest && applied.outcome !== "failed";
  }

  #shown(
    agent: AgentRow,
    document: CompiledDocument,
  ): ReturnType<typeof withCause> & { sealed: ReturnType<Publisher["seal"]> } {
    return {
      ...withCause(document, { kind: "person", text: "plan" }),
      sealed: this.#publisher.seal(agent, document),
    };
  }
}

/** The controller that things are made on first: as it was recorded, else the first one of the file. */
export function primaryOf(cloud: Cloud, recorded: string | null): string {
  const controllers = cloud.hosts.filter(({ role }) => role === "controller").map(({ name }) => name);
  const [first] = controllers;
  if (first === undefined) throw new Error("a cloud without controller");
  return recorded !== null && controllers.includes(recorded) ? recorded : first;
}

function resourcesOf(plan: HostPlan, document: CompiledDocument): ResourceOutcome[] {
  if (plan.state === "known") return [...(plan.services.get(document.service)?.resources ?? [])];
  if (plan.state === "unreachable") return [];
  return document.resources.map((resource) => ({
    id: resourceId(resource),
    outcome: "planned",
    changes: [],
    restarts: [],
  }));
}
