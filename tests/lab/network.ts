import { existsSync, readFileSync, rmSync } from "node:fs";
import { output, run } from "./command.ts";
import {
  bridgeName,
  hostOf,
  labNames,
  linkName,
  namespaceName,
  networkNames,
  readLab,
  type Lab,
  type NetworkName,
} from "./lab.ts";

/** Makes the lab's bridges with this machine's addresses, and each host's namespace with its three links. Repeatable. */
export async function makeNetworks(lab: Lab): Promise<void> {
  for (const network of networkNames) {
    const bridge = bridgeName(lab.name, network);
    const { cidr, gateway } = lab.networks[network];
    if (!hasLink(bridge)) await output("ip", ["link", "add", bridge, "type", "bridge"]);
    await output("ip", ["address", "replace", `${gateway}/${cidr.split("/")[1] ?? "24"}`, "dev", bridge]);
    await output("ip", ["link", "set", bridge, "up"]);
  }
  for (const [index, host] of lab.hosts.entries()) {
    const namespace = namespaceName(lab.name, host.name);
    if (!hasNamespace(namespace)) {
      rmSync(`/run/netns/${namespace}`, { force: true });
      await output("ip", ["netns", "add", namespace]);
    }
    for (const network of networkNames) {
      const link = linkName(lab.name, index, network);
      const inside = lab.networks[network].interface;
      // To join the bridge is the last step: a link that has not is one that was left half made.
      if (existsSync(`/sys/class/net/${link}/master`)) continue;
      if (hasLink(link)) await output("ip", ["link", "delete", link]);
      await output("ip", ["link", "add", link, "type", "veth", "peer", "name", inside, "netns", namespace]);
      // Through a userspace switch, TCP needs its checksums made by the sender.
      await output("ip", ["netns", "exec", namespace, "ethtool", "-K", inside, "tx", "off"]);
      await output("ip", ["link", "set", link, "master", bridgeName(lab.name, network)]);
    }
    await output("ip", ["-n", namespace, "link", "set", "lo", "up"]);
  }
}

/** Plugs a host's cables in or pulls them. */
export async function setLinks(
  lab: Lab,
  host: string,
  networks: readonly NetworkName[],
  up: boolean,
): Promise<void> {
  const index = lab.hosts.indexOf(hostOf(lab, host));
  for (const network of networks)
    await output("ip", ["link", "set", linkName(lab.name, index, network), up ? "up" : "down"]);
}

/** Takes away addresses that a host which lost power has left in its namespace: they would go on answering ARP. */
export async function flushAddresses(lab: Lab, host: string): Promise<void> {
  for (const network of networkNames) {
    await run("ip", [
      "-n",
      namespaceName(lab.name, host),
      "address",
      "flush",
      "dev",
      lab.networks[network].interface,
    ]);
    await run("ip", [
      "-n",
      namespaceName(lab.name, host),
      "link",
      "set",
      lab.networks[network].interface,
      "down",
    ]);
  }
}

/** Removes everything that {@link makeNetworks} made. Repeatable. */
export async function removeNetworks(lab: Lab): Promise<void> {
  for (const [index, host] of lab.hosts.entries()) {
    for (const network of networkNames) {
      const link = linkName(lab.name, index, network);
      if (hasLink(link)) await run("ip", ["link", "delete", link]);
    }
    const namespace = namespaceName(lab.name, host.name);
    if (hasNamespace(namespace)) await output("ip", ["netns", "delete", namespace]);
    rmSync(`/run/netns/${namespace}`, { force: true });
  }
  for (const network of networkNames) {
    const bridge = bridgeName(lab.name, network);
    if (hasLink(bridge)) await output("ip", ["link", "delete", bridge]);
  }
}

/** The labs on this machine that take part in its network: up, or killed on the way there. */
export function labsThatAreUp(): Lab[] {
  return labNames()
    .map(readLab)
    .filter(({ name }) => hasLink(bridgeName(name, "management")));
}

/** A file without a namespace mounted on it is what a kill leaves. */
function hasNamespace(name: string): boolean {
  return readFileSync("/proc/self/mounts", "utf8").includes(` /run/netns/${name} nsfs `);
}

/** True while this machine has an interface of that name. */
export function hasLink(name: string): boolean {
  return existsSync(`/sys/class/net/${name}`);
}
