import { StackctlError, type Scope } from "@stackctl/protocol";
import type { Cloud, CloudHost } from "../config/model.ts";

/**
 * The hosts that a scope means, in the order of the file.
 * @throws StackctlError `host_unknown` naming every name that is not in the file
 */
export function hostsOf(cloud: Cloud, scope: Scope): CloudHost[] {
  if (scope === "aio") return [...cloud.hosts];
  if (scope === "controller" || scope === "compute") return cloud.hosts.filter((host) => host.role === scope);
  const unknown = scope.filter((name) => !cloud.hosts.some((host) => host.name === name));
  if (unknown.length > 0) {
    throw new StackctlError("host_unknown", `${unknown.join(", ")}: not in the file`, {
      details: {
        expected: `one of ${cloud.hosts.map((host) => host.name).join(", ")}, or aio, controller, compute`,
        found: unknown.join(", "),
        remedy: "name hosts that are in cloud.yaml, or add them there",
      },
    });
  }
  return cloud.hosts.filter((host) => scope.includes(host.name));
}

/** A scope in words. */
export function scopeText(scope: Scope): string {
  return typeof scope === "string" ? scope : scope.join(" ");
}
