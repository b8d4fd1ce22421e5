import { output, run } from "./command.ts";
import { hostOf, namespaceName, networkNames, type Lab, type NetworkName } from "./lab.ts";

const table = "lab-cut";

/**
 * Cuts a host off a network while its links stay up: what it sends and, unless `oneWay`, what is sent to it is
 * dropped in its namespace. No networks given: all of them.
 */
export async function cut(
  lab: Lab,
  host: string,
  networks: readonly NetworkName[],
  oneWay: boolean,
): Promise<void> {
  hostOf(lab, host);
  const nics = (networks.length === 0 ? networkNames : networks).map(
    (network) => lab.networks[network].interface,
  );
  const rules = nics.flatMap((nic) => [
    `add rule netdev ${table} ${chain(nic, "in")} drop`,
    ...(oneWay ? [] : [`add rule inet ${table} out oifname "${nic}" drop`]),
  ]);
  const chains = nics.map(
    (nic) =>
      `add chain netdev ${table} ${chain(nic, "in")} { type filter hook ingress device "${nic}" priority 0; }`,
  );
  const text = [
    `add table netdev ${table}`,
    `add table inet ${table}`,
    `add chain inet ${table} out { type filter hook output priority 0; }`,
    ...chains,
    ...rules,
    "",
  ].join("\n");
  await heal(lab, host);
  await output("ip", ["netns", "exec", namespaceName(lab.name, host), "nft", "-f", "-"], { input: text });
}

/** Takes every cut of a host back. */
export async function heal(lab: Lab, host: string): Promise<void> {
  hostOf(lab, host);
  for (const family of ["netdev", "inet"]) {
    // A table that is not there is what is wanted.
    await run("ip", [
      "netns",
      "exec",
      namespaceName(lab.name, host),
      "nft",
      "delete",
      "table",
      family,
      table,
    ]);
  }
}

function chain(nic: string, direction: string): string {
  return `${nic}-${direction}`.replaceAll(/[^a-z0-9]/g, "_");
}
