import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ServiceDefinition } from "@stackctl/server/services/service.ts";
import { work } from "./work.ts";

/**
 * Stands in for the server's own list of services in the bundle that the bench makes of it: one service, the work of the
 * bench, wanted while a file is in the server's home. All the rest of that server is the product's.
 */
export const services: readonly ServiceDefinition[] = [
  {
    name: "bench",
    needs: [],
    resources: (host) =>
      existsSync(wantedFile(process.env["STACKCTL_HOME"] ?? ""))
        ? work.map(({ resource }) => ({ resource, origin: ["hosts", host.name] }))
        : [],
  },
];

/** The one service needs nothing. */
export function needsOf(): readonly string[] {
  return [];
}

/** While it is there, the hosts are to have the work. */
export function wantedFile(home: string): string {
  return join(home, "bench-wanted");
}
