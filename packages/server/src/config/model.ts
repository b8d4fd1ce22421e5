import type { Role } from "@stackctl/protocol";

/** The names of the three networks; every host has an address on each. */
export const networkNames = ["management", "public", "data"] as const;
export type NetworkName = (typeof networkNames)[number];

/** A cloud as its file describes it, every default filled in and every reference checked. */
export interface Cloud {
  readonly name: string;
  readonly ssh: Ssh;
  readonly networks: Readonly<Record<NetworkName, Network>>;
  readonly vip: { readonly management: string; readonly public: string; readonly virtualRouterId: number };
  /** In the order of the file. */
  readonly hosts: readonly CloudHost[];
  readonly packages: Packages;
  /** An outside registry of images; null: the cloud has its own. */
  readonly registry: OutsideRegistry | null;
  readonly images: {
    /** Image that all others are made from; null: made here of Debian's packages. */
    readonly base: string | null;
  };
  readonly time: { readonly servers: readonly string[] };
  readonly reboot: "first-apply" | "never";
  /** How long a host may be silent before it counts as absent. */
  readonly absentAfterSeconds: number;
  readonly server: {
    /** Where agents reach nats-server; null: the address of the route to the first host. */
    readonly address: string | null;
    readonly port: number;
  };
}

export interface Ssh {
  readonly user: string;
  readonly port: number;
  /** Absolute path; `~` is resolved against the home of who wrote the file. Null: the ssh agent's keys. */
  readonly privateKey: string | null;
  /** All hosts are logged in to through it; null: straight. */
  readonly jumpHost: JumpHost | null;
}

/** A machine that the hosts are logged in to through. */
export interface JumpHost {
  /** DNS name or address. */
  readonly host: string;
  readonly user: string;
  readonly port: number;
  /** `SHA256:...` that its SSH key must have; null: the first one seen is pinned. */
  readonly hostKey: string | null;
}

export interface Network {
  readonly cidr: string;
  readonly interface: string;
  readonly gateway: string | null;
  /** First and last address for floating IPs. */
  readonly pool: { readonly first: string; readonly last: string } | null;
}

export interface CloudHost {
  readonly name: string;
  readonly role: Role;
  /** On each network. */
  readonly addresses: Readonly<Record<NetworkName, string>>;
  /** keepalived's priority; null on computes. */
  readonly vipPriority: number | null;
  readonly sshPort: number;
  /** `SHA256:...` that the host's SSH key must have; null: the first one seen is pinned. */
  readonly hostKey: string | null;
}

export interface Packages {
  /** Null: what the host already uses. */
  readonly mirror: string | null;
  readonly securityMirror: string | null;
  /** `http://host:port` without credentials; null: none. */
  readonly proxy: string | null;
  /** The proxy's user; its password is the secret {@link proxyPasswordSecret}. */
  readonly proxyUser: string | null;
  /** Reached without the proxy, beside what the cloud itself derives. */
  readonly noProxy: readonly string[];
}

/** A registry that somebody else runs. */
export interface OutsideRegistry {
  /** `name:port`. */
  readonly name: string;
  /** PEM of the authority of its certificate; null: one that Debian knows. */
  readonly ca: string | null;
  /** Its password is the secret {@link registryPasswordSecret}; null: it asks nobody. */
  readonly user: string | null;
}

/** The secret that holds the password of `registry.user`. */
export const registryPasswordSecret = "registry-password";

/** The secret that holds the passphrase of `ssh.privateKey`. */
export const sshPassphraseSecret = "ssh-key-passphrase";

/** The secret that holds the password of `packages.proxy`. */
export const proxyPasswordSecret = "packages-proxy-password";

/** Where a value is from that nobody wrote. */
export const byDefault = "default";

/** A cloud with where each key stands, for messages and causes. */
export interface LoadedCloud {
  readonly cloud: Cloud;
  /** The file as it was read; kept with each run, so that a run goes on with what it started with. */
  readonly text: string;
  /** Absolute path. */
  readonly file: string;
  /** `cloud.yaml:24` for a path of keys such as `["hosts", "controller1", "address"]`; the nearest parent that exists otherwise, {@link byDefault} when none does. */
  origin(path: readonly string[]): string;
}
