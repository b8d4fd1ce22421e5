import { servicePorts, type Facts, type PreflightRow } from "@stackctl/protocol";
import type { Cloud, CloudHost } from "../config/model.ts";

/** Addresses that stand for all of them, as ss(8) prints them. */
const everywhere: readonly string[] = ["0.0.0.0", "*", "[::]"];

/** Ports of services that the host is to run, taken by somebody else on the address that they need. Pure. */
export function portProblems(host: CloudHost, cloud: Cloud, facts: Facts): PreflightRow["problems"] {
  if (host.role !== "controller") return [];
  const wanted = Object.entries(servicePorts).filter(
    ([service]) => service !== "registry" || cloud.registry === null,
  );
  return wanted.flatMap(([service, port]) => {
    const taken = facts.listeners.find(
      (listener) =>
        listener.port === port &&
        listener.ours === false &&
        [...everywhere, host.addresses.management].includes(listener.address),
    );
    if (taken === undefined) return [];
    const { process, container } = taken;
    return [
      {
        severity: "error",
        text: `${host.name}: port ${String(port)}, which ${service} needs, is taken by ${process}${container === null ? "" : ` in container ${container}`}`,
        remedy:
          container === null
            ? `end it on ${host.name}; ss -ltnp 'sport = :${String(port)}' shows it, systemctl disable --now keeps it away`
            : `if nobody needs it, on ${host.name}: docker rm -f ${container}`,
      },
    ];
  });
}
