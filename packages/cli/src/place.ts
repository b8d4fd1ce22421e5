import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** Which cloud this command is about. */
export interface Place {
  /** Absolute path of `cloud.yaml`. */
  readonly cloudFile: string;
  /** The server's home. */
  readonly home: string;
}

const installed: Place = { cloudFile: "/etc/stackctl/cloud.yaml", home: "/var/lib/stackctl" };

/**
 * The cloud by `--cloud` and `STACKCTL_HOME`; else `./cloud.yaml` with `.stackctl` beside it; else, where there is none
 * and one is installed, that.
 */
export function findPlace(cloud: string | undefined, environment: NodeJS.ProcessEnv = process.env): Place {
  const home = environment["STACKCTL_HOME"];
  const here = resolve("cloud.yaml");
  const cloudFile =
    cloud !== undefined
      ? resolve(cloud)
      : existsSync(here) || !existsSync(installed.cloudFile)
        ? here
        : installed.cloudFile;
  if (home !== undefined && home !== "") return { cloudFile, home: resolve(home) };
  return {
    cloudFile,
    home: cloudFile === installed.cloudFile ? installed.home : join(dirname(cloudFile), ".stackctl"),
  };
}
