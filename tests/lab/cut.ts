import { output, run } from "./command.ts";
import { hostOf, linkName, mark, networkNames, type Lab, type NetworkName } from "./lab.ts";

/**
 * Cuts a host off networks while its links stay up: what is sent to it and, unless `oneWay`, what it sends is dropped at
 * this machine's end of the cable. There, because what a host sends by raw sockets (ARP, VRRP, a userspace switch) passes
 * by its own packet filter. No networks given: all of them. Adds to the cuts that there are; lasts through reboots.
 */
export async function cut(
  lab: Lab,
  host: string,
  networks: readonly NetworkName[],
  oneWay: boolean,
): Promise<void> {
  const table = tableName(lab, host);
  const index = lab.hosts.indexOf(hostOf(lab, host));
  const lines = (networks.length === 0 ? networkNames : networks).flatMap((network) => {
    const device = `device "${linkName(lab.name, index, network)}"`;
    return [
      // Seen from the machine, what goes out by its end of the cable comes in at the host.
      `add chain netdev ${table} ${network}-in { type filter hook egress ${device} priority 0; }`,
      `add chain netdev ${table} ${network}-out { type filter hook ingress ${device} priority 0; }`,
      `flush chain netdev ${table} ${network}-in`,
      `flush chain netdev ${table} ${network}-out`,
      `add rule netdev ${table} ${network}-in drop`,
      ...(oneWay ? [] : [`add rule netdev ${table} ${network}-out drop`]),
    ];
  });
  await output("nft", ["-f", "-"], { input: [`add table netdev ${table}`, ...lines, ""].join("\n") });
}

/** Takes every cut of a host back. Repeatable. */
export async function heal(lab: Lab, host: string): Promise<void> {
  const table = tableName(lab, host);
  if (await isThere(table)) await output("nft", ["delete", "table", "netdev", table]);
}

/** The networks that a host is cut off, as `cut` was asked; `-in` where it can still send. */
export async function cutsOf(lab: Lab, host: string): Promise<string[]> {
  const table = tableName(lab, host);
  if (!(await isThere(table))) return [];
  const text = await output("nft", ["list", "table", "netdev", table]);
  const drops = (chain: string): boolean => new RegExp(`chain ${chain} \\{[^}]*\\bdrop\\n`).test(text);
  return networkNames
    .filter((network) => drops(`${network}-in`))
    .map((network) => (drops(`${network}-out`) ? network : `${network}-in`));
}

/** The packet filter tables that a lab of this name has on this machine. */
export async function cutTables(name: string): Promise<string[]> {
  // A machine on which no lab was ever made may lack nft.
  const { stdout } = await run("nft", ["list", "tables"]);
  return [...stdout.matchAll(/^table netdev (\S+)$/gm)]
    .map(([, table]) => table ?? "")
    .filter((table) => table.startsWith(`lab-${mark(name)}-`));
}

function tableName(lab: Lab, host: string): string {
  return `lab-${mark(lab.name)}-${hostOf(lab, host).name}`;
}

async function isThere(table: string): Promise<boolean> {
  return (await output("nft", ["list", "tables"])).split("\n").includes(`table netdev ${table}`);
}
