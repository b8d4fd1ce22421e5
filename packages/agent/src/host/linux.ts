import { linuxPackages } from "./apt.ts";
import { linuxFiles } from "./files.ts";
import type { Host } from "./host.ts";
import { linuxSystem } from "./system.ts";
import { linuxUnits } from "./systemd.ts";

/** The real host. */
export function linuxHost(): Host {
  return { files: linuxFiles(), packages: linuxPackages(), units: linuxUnits(), system: linuxSystem() };
}
