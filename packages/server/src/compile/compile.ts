import { documentDigest, resourceId, type Cause, type DocumentBody } from "@stackctl/protocol";
import type { Cloud, CloudHost, LoadedCloud } from "../config/model.ts";
import { services } from "../services/index.ts";
import type { CompileContext } from "../services/service.ts";

/** A document before it has a cause and before its secrets are sealed. */
export type CompiledDocument = Omit<DocumentBody, "cause" | "sealed">;

/**
 * What one host should be: its documents in the order in which they converge. Pure: the same cloud, secrets'
 * versions and reboot orders give the same documents, so compiling twice publishes nothing.
 * @param held names of services that the host holds documents of; those that the cloud does not ask for any
 *   more come last, with no resources, which takes them away
 */
export function compileHost(
  host: CloudHost,
  context: CompileContext,
  origin: LoadedCloud["origin"],
  held: readonly string[],
): CompiledDocument[] {
  const documents: CompiledDocument[] = [];
  for (const service of services) {
    const placed = service.resources(host, context);
    if (placed === null) continue;
    const resources = placed.map(({ resource }) => resource);
    const needs = service.needs.filter((need) => documents.some((document) => document.service === need));
    documents.push({
      service: service.name,
      digest: documentDigest(service.name, needs, resources),
      needs,
      resources,
      origins: Object.fromEntries(placed.map((each) => [resourceId(each.resource), origin(each.origin)])),
    });
  }
  const left = held.filter((name) => !documents.some((document) => document.service === name));
  return [...documents, ...left.toReversed().map(emptyDocument)];
}

/** The services that any of these hosts has a part in, in order, with those hosts. */
export function stepsOf(
  cloud: Cloud,
  documents: ReadonlyMap<string, readonly CompiledDocument[]>,
): { service: string; hosts: string[] }[] {
  const known = services.map((service) => service.name);
  const all = [...documents.values()].flat().map((document) => document.service);
  const names = [...known, ...all.filter((name) => !known.includes(name))];
  return [...new Set(names)]
    .map((service) => ({
      service,
      hosts: cloud.hosts
        .map((host) => host.name)
        .filter((name) => documents.get(name)?.some((document) => document.service === service) === true),
    }))
    .filter((step) => step.hosts.length > 0);
}

/** The document as it is published for a cause; its secrets are sealed by the caller. */
export function withCause(document: CompiledDocument, cause: Cause): Omit<DocumentBody, "sealed"> {
  return { ...document, cause };
}

function emptyDocument(service: string): CompiledDocument {
  return { service, digest: documentDigest(service, [], []), needs: [], resources: [], origins: {} };
}
