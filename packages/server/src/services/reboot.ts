import type { ServiceDefinition } from "./service.ts";

/**
 * The one restart of every host at the first apply, so that what was installed is proved to survive a boot
 * before anything depends on it. All at once: no cluster exists yet.
 */
export const rebootService: ServiceDefinition = {
  name: "reboot",
  needs: ["host", "chrony", "docker"],
  resources(host, { cloud, rebootOrders }) {
    const notBootId = rebootOrders.get(host.name);
    if (cloud.reboot === "never" || notBootId === undefined) return null;
    return [{ resource: { type: "reboot", name: "first-apply", spec: { notBootId } }, origin: ["reboot"] }];
  },
};
