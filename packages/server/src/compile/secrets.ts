import { secretRef, type Resource, type SecretRef } from "@stackctl/protocol";

/** Every secret that these resources refer to, once each. A host is only ever sealed what its own resources name. */
export function secretRefs(resources: readonly Resource[]): SecretRef[] {
  const found = new Map<string, SecretRef>();
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    const parsed = secretRef.safeParse(value);
    if (parsed.success) found.set(`${parsed.data.secret}@${String(parsed.data.version)}`, parsed.data);
    else Object.values(value).forEach(visit);
  };
  visit(resources);
  return [...found.values()];
}
