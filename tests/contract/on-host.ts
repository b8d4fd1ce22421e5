import { linuxHost } from "@stackctl/agent/host/linux.ts";
import { commandClaims } from "./command-suite.ts";
import { checkClaims, hostClaims } from "./host-suite.ts";

/** Runs inside a lab host, as root: every claim on the real thing, results as JSON on standard output. */
async function main(): Promise<void> {
  process.stdout.write(JSON.stringify(await checkClaims(linuxHost(), [...hostClaims, ...commandClaims])));
}

void main();
