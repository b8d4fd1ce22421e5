import { documentDigest, resourceId, type Cause, type DocumentBody } from "@stackctl/protocol";
import type { Cloud, CloudHost, LoadedCloud } from "../config/model.ts";
import { services } from "../services/index.ts";
import type { CompileContext } from "../services/service.ts";

/** A document before it has a cause and before its secrets are sealed. */
export type CompiledDocument = Omit<DocumentBody, "cause" | "sealed">;

/** What one host should be. */
export interface CompiledHost {
  /** In the order in which they converge. */
  readonly documents: readonly CompiledDocument[];
  /** Services that it has a part in but that cannot be said yet, with what they wait for. */
  readonly waiting: ReadonlyMap<string, string>;
}

/**
 * What one host should be. Pure: the same cloud, secrets' versions, images and reboot orders give the same documents,
 * so compiling twice publishes nothing.
 * @param held names of services that the host holds documents of; those that the cloud does not ask for any
 *   more come last, with no resources, which takes them away
 */
export function compileHost(
  host: CloudHost,
  context: CompileContext,
  origin: LoadedCloud["origin"],
  held: readonly string[],
): CompiledHost {
  const waiting = new Map<string, string>();
  const documents: CompiledDocument[] = [];
  for (const service of services) {
    const placed = service.resources(host, context);
    if (placed === null) continue;
    if ("waits" in placed) {
      waiting.set(service.name, placed.waits);
      continue;
    }
    const resources = placed.map(({ resource }) => resource);
    const needs = service.needs.filter(
      (need) => waiting.has(need) || documents.some((document) => document.service === need),
    );
    documents.push({
      service: service.name,
      digest: documentDigest(service.name, needs, resources),
      needs,
      resources,
      origins: Object.fromEntries(placed.map((each) => [resourceId(each.resource), origin(each.origin)])),
    });
  }
  const left = held.filter(
    (name) => !waiting.has(name) && !documents.some((document) => document.service === name),
  );
  return { documents: [...documents, ...left.toReversed().map(emptyDocument)], waiting };
}

/** The steps of other hosts that are over before a service's step on a host begins. */
export function stepsBefore(
  service: string,
  host: CloudHost,
  context: CompileContext,
): readonly { readonly service: string; readonly host: string }[] {
  return services.find(({ name }) => name === service)?.after?.(host, context) ?? [];
}

/** The services that any of these hosts has a part in, in order, with those hosts. */
export function stepsOf(
  cloud: Cloud,
  compiled: ReadonlyMap<string, CompiledHost>,
): { service: string; hosts: string[] }[] {
  const known = services.map((service) => service.name);
  const of = (host: string): string[] => {
    const { documents, waiting } = compiled.get(host) ?? {
      documents: [],
      waiting: new Map<string, string>(),
    };
    return [...documents.map(({ service }) => service), ...waiting.keys()];
  };
  const all = [...compiled.keys()].flatMap(of);
  const names = [...known, ...all.filter((name) => !known.includes(name))];
  return [...new Set(names)]
    .map((service) => ({
      service,
      hosts: cloud.hosts.map((host) => host.name).filter((name) => of(name).includes(service)),
    }))
    .filter((step) => step.hosts.length > 0);
}

/** The document as it is published for a cause; its secrets are sealed by the caller. */
export function withCause(document: CompiledDocument, cause: Cause): Omit<DocumentBody, "sealed"> {
  return { ...document, cause };
}

/** The document that takes away all of a service that a host has. */
export function emptyDocument(service: string): CompiledDocument {
  return { service, digest: documentDigest(service, [], []), needs: [], resources: [], origins: {} };
}
