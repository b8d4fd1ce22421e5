import ipaddr from "ipaddr.js";

/** An IPv4 network such as `10.10.0.0/24`. */
export interface Cidr {
  readonly first: number;
  readonly last: number;
  readonly bits: number;
}

/** The number of an IPv4 address; null when the text is none. Only the form of four numbers counts. */
export function addressNumber(text: string): number | null {
  if (!ipaddr.IPv4.isValidFourPartDecimal(text)) return null;
  return ipaddr.IPv4.parse(text).octets.reduce((sum, octet) => sum * 256 + octet, 0);
}

/** The text of an address. */
export function addressText(value: number): string {
  return [24, 16, 8, 0].map((shift) => String(Math.floor(value / 2 ** shift) % 256)).join(".");
}

/** A network by its text; null when the text is none. Host bits that are set are not an error here: see {@link networkText}. */
export function parseCidr(text: string): Cidr | null {
  const match = /^([0-9.]+)\/(\d{1,2})$/.exec(text);
  const address = addressNumber(match?.[1] ?? "");
  const bits = Number(match?.[2]);
  if (address === null || bits > 32) return null;
  const size = 2 ** (32 - bits);
  const first = Math.floor(address / size) * size;
  return { first, last: first + size - 1, bits };
}

/** The network's own text, with its host bits cleared. */
export function networkText({ first, bits }: Cidr): string {
  return `${addressText(first)}/${String(bits)}`;
}

/** A network as MariaDB writes it, such as `10.10.0.0/255.255.255.0`. @throws Error when the text is no network */
export function netmaskOf(cidr: string): string {
  const network = parseCidr(cidr);
  if (network === null) throw new Error(`no network: ${cidr}`);
  return `${addressText(network.first)}/${addressText(2 ** 32 - 2 ** (32 - network.bits))}`;
}

/** True when an address can be a host's in this network: inside, and neither the network's own nor the broadcast one. */
export function isHostOf(network: Cidr, address: number): boolean {
  return address > network.first && address < network.last;
}

/** True when two networks share an address. */
export function overlap(a: Cidr, b: Cidr): boolean {
  return a.first <= b.last && b.first <= a.last;
}
