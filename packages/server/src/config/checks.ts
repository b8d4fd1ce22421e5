import { hostNamePattern } from "@stackctl/protocol";
import { addressNumber, addressText, isHostOf, overlap, parseCidr, type Cidr } from "./address.ts";
import { networkNames, type Cloud, type CloudHost, type JumpHost, type NetworkName } from "./model.ts";
import { parseDuration, parseJump, type CloudFile } from "./schema.ts";

/** A mistake at a path of keys. */
export interface Finding {
  readonly path: readonly string[];
  readonly message: string;
}

/** What only several keys together tell to be wrong; all of it at once. */
export function crossCheck(file: CloudFile): Finding[] {
  const found: Finding[] = [];
  const say = (path: readonly string[], message: string): void => {
    found.push({ path, message });
  };
  const networks = new Map<NetworkName, Cidr>();
  const interfaces = new Map<string, NetworkName>();
  for (const name of networkNames) {
    const { cidr, interface: nic, gateway } = file.networks[name];
    const parsed = parseCidr(cidr);
    if (parsed === null) continue;
    for (const [other, theirs] of networks) {
      if (overlap(parsed, theirs))
        say(["networks", name, "cidr"], `${cidr} overlaps the ${other} network ${file.networks[other].cidr}`);
    }
    networks.set(name, parsed);
    const twin = interfaces.get(nic);
    if (twin !== undefined)
      say(
        ["networks", name, "interface"],
        `${nic} is the NIC of the ${twin} network already; each network has its own`,
      );
    interfaces.set(nic, name);
    const router = gateway === null ? null : addressNumber(gateway);
    if (router !== null && !isHostOf(parsed, router))
      say(["networks", name, "gateway"], `${String(gateway)} is not in ${cidr}`);
  }

  const names = Object.keys(file.hosts);
  if (!names.some((name) => file.hosts[name]?.role === "controller"))
    say(["hosts"], "has no controller; at least one host needs role: controller");
  const owners = new Map<string, string>();
  for (const name of networkNames) {
    const { gateway } = file.networks[name];
    if (gateway !== null) owners.set(gateway, `the ${name} network's gateway`);
  }
  const priorities = new Map<number, string>();
  for (const name of names) {
    const host = file.hosts[name];
    if (host === undefined) continue;
    if (!hostNamePattern.test(name))
      say(["hosts", name], `${name} is not a host name; small letters, digits and - are allowed, at most 32`);
    let managementIsRight = true;
    for (const network of networkNames) {
      const key = network === "management" ? "address" : network;
      const cidr = networks.get(network);
      const text = addressOf(file, name, network);
      if (cidr === undefined || text === null) continue;
      const given = key === "address" || host[key] !== undefined;
      // An address that follows from a wrong one is wrong for the same reason: said once.
      if (!given && !managementIsRight) continue;
      const path = ["hosts", name, ...(given ? [key] : [])];
      const address = addressNumber(text);
      if (address === null) continue;
      if (!isHostOf(cidr, address)) {
        say(
          path,
          `${text} is not in the ${network} network ${file.networks[network].cidr}${given ? "" : `; give hosts.${name}.${key}`}`,
        );
        if (network === "management") managementIsRight = false;
        continue;
      }
      const owner = owners.get(text);
      if (owner !== undefined) {
        if (network === "management") managementIsRight = false;
        if (!owner.startsWith(`${name}'s`)) say(path, `${text} is ${owner} already`);
      } else owners.set(text, `${name}'s address`);
    }
    if (host.vipPriority !== undefined) {
      const twin = priorities.get(host.vipPriority);
      if (host.role !== "controller")
        say(["hosts", name, "vipPriority"], "is for controllers only; leave it out");
      else if (twin !== undefined)
        say(
          ["hosts", name, "vipPriority"],
          `${String(host.vipPriority)} is ${twin}'s priority already; each controller has its own`,
        );
      priorities.set(host.vipPriority, name);
    }
  }
  for (const name of ["management", "public"] as const) {
    const cidr = networks.get(name);
    const text = file.vip[name];
    const address = addressNumber(text);
    if (cidr === undefined || address === null) continue;
    const owner = owners.get(text);
    if (!isHostOf(cidr, address))
      say(["vip", name], `${text} is not in the ${name} network ${file.networks[name].cidr}`);
    else if (owner !== undefined)
      say(["vip", name], `${text} is ${owner}; the VIP must be a free one in ${file.networks[name].cidr}`);
    owners.set(text, "the VIP");
  }
  const jump = jumpOf(file)?.host;
  if (jump !== undefined && (jump === file.vip.management || jump === file.vip.public))
    say(["ssh", "jumpHost"], `${jump} is the VIP, which is on no machine before the cloud is made`);
  for (const name of networkNames) {
    const { pool, cidr: text } = file.networks[name];
    const cidr = networks.get(name);
    if (pool === null || cidr === undefined) continue;
    const [first, last] = pool.split("-").map(addressNumber);
    const path = ["networks", name, "pool"];
    if (name !== "public") say(path, "belongs to the public network only; leave it out");
    else if (first === null || last === null || first === undefined || last === undefined)
      say(path, `${pool} is not a range of IPv4 addresses`);
    else if (!isHostOf(cidr, first) || !isHostOf(cidr, last)) say(path, `${pool} is not in ${text}`);
    else if (first > last) say(path, `${pool} ends before it begins`);
    else {
      for (const [taken, owner] of owners) {
        const address = addressNumber(taken);
        if (address !== null && address >= first && address <= last)
          say(path, `${pool} holds ${taken}, which is ${owner}`);
      }
    }
  }
  return found;
}

/** The cloud with every default filled in. The file must have passed {@link crossCheck}. */
export function modelOf(file: CloudFile, home: string): Cloud {
  const controllers = Object.keys(file.hosts).filter((name) => file.hosts[name]?.role === "controller");
  const proxy = file.packages.proxy === null ? null : new URL(file.packages.proxy);
  const network = (name: NetworkName): Cloud["networks"][NetworkName] => {
    const { cidr, interface: nic, gateway, pool } = file.networks[name];
    const [first = "", last = ""] = pool?.split("-") ?? [];
    return { cidr, interface: nic, gateway, pool: pool === null ? null : { first, last } };
  };
  return {
    name: file.cloud,
    ssh: {
      user: file.ssh.user,
      port: file.ssh.port,
      privateKey: file.ssh.privateKey?.replace(/^~(?=\/)/, home) ?? null,
      jumpHost: jumpOf(file),
    },
    networks: { management: network("management"), public: network("public"), data: network("data") },
    vip: file.vip,
    hosts: Object.entries(file.hosts).map(([name, host]): CloudHost => {
      const at = (which: NetworkName): string => addressOf(file, name, which) ?? "";
      return {
        name,
        role: host.role,
        addresses: { management: at("management"), public: at("public"), data: at("data") },
        vipPriority:
          host.role === "controller" ? (host.vipPriority ?? 150 - 10 * controllers.indexOf(name)) : null,
        sshPort: host.sshPort ?? file.ssh.port,
        hostKey: host.hostKey ?? null,
      };
    }),
    registry: file.registry,
    images: file.images,
    packages: {
      mirror: file.packages.mirror,
      securityMirror: file.packages.securityMirror,
      proxy: proxy === null ? null : `http://${proxy.hostname}:${proxy.port === "" ? "80" : proxy.port}`,
      proxyUser: proxy === null || proxy.username === "" ? null : proxy.username,
      noProxy: file.packages.noProxy,
    },
    time: file.time,
    reboot: file.reboot,
    absentAfterSeconds: parseDuration(file.absentAfter) ?? 300,
    server: file.server,
  };
}

/** The jump host in either of its forms. */
function jumpOf({ ssh }: CloudFile): JumpHost | null {
  if (ssh.jumpHost === null) return null;
  const given = typeof ssh.jumpHost === "string" ? parseJump(ssh.jumpHost) : ssh.jumpHost;
  if (given === null) return null;
  return {
    host: given.host,
    user: given.user ?? ssh.user,
    port: given.port,
    hostKey: "hostKey" in given ? (given.hostKey ?? null) : null,
  };
}

/** A host's address on a network: given, or with the same place in it as on the management network. */
function addressOf(file: CloudFile, name: string, network: NetworkName): string | null {
  const host = file.hosts[name];
  if (host === undefined) return null;
  if (network === "management") return host.address;
  const given = host[network];
  if (given !== undefined) return given;
  const management = parseCidr(file.networks.management.cidr);
  const cidr = parseCidr(file.networks[network].cidr);
  const own = addressNumber(host.address);
  if (management === null || cidr === null || own === null) return null;
  return addressText(cidr.first + (own - management.first));
}
