import { linuxAccounts } from "./accounts.ts";
import { linuxPackages } from "./apt.ts";
import { linuxDatabase } from "./database.ts";
import { linuxFiles } from "./files.ts";
import { linuxDocker } from "./docker.ts";
import type { Host } from "./host.ts";
import { linuxJournal } from "./journal.ts";
import { linuxImages } from "./images.ts";
import { linuxSystem } from "./system.ts";
import { linuxUnits } from "./systemd.ts";
import { linuxWeb } from "./web.ts";

/** How the real host is opened. */
export interface LinuxHostOptions {
  /** Put before every path of `files`; for tests only. Default: nothing. */
  readonly root?: string;
}

/** The real host. */
export function linuxHost(options: LinuxHostOptions = {}): Host {
  return {
    files: linuxFiles(options.root),
    packages: linuxPackages(),
    units: linuxUnits(),
    accounts: linuxAccounts(),
    system: linuxSystem(),
    docker: linuxDocker(),
    images: linuxImages(),
    journal: linuxJournal(),
    database: linuxDatabase(),
    web: linuxWeb(),
  };
}
