/** Paths on a managed host; written nowhere else. */
export const hostPaths = {
  /** Each release has a folder of its own: `node` and `agent.cjs`. */
  releases: "/opt/stackctl/releases",
  /** Symlink to the release that runs. */
  current: "/opt/stackctl/current",
  /** All that is ours of `/opt`. */
  root: "/opt/stackctl",
  /** Configuration of the services. */
  configuration: "/etc/stackctl",
  /** Data of the services. */
  data: "/var/lib/stackctl",
  /**
   * Symlink to the release that ran before, there only while `current` is not confirmed. Going back is its rename over
   * `current`, confirming is its removal: whichever comes first leaves nothing for the other.
   */
  former: "/opt/stackctl/former",
  /** The agent's state, 0700: identity, documents, ledger, outbox. */
  state: "/var/lib/stackctl-agent",
  /** The proxy that dockerd pulls through, with its password: root's only. */
  dockerProxy: "/etc/stackctl/docker/proxy.env",
  /** The agent's systemd unit. */
  unit: "/etc/systemd/system/stackctl-agent.service",
} as const;

/** systemd's units that take a host back to its former release: plain `mv` and `systemctl`, nothing of any release. */
export const goBackUnits = {
  service: "stackctl-agent-back.service",
  timer: "stackctl-agent-back.timer",
} as const;

/** The name of the agent's systemd unit. */
export const agentUnit = "stackctl-agent.service";

/** The name in the certificate of every nats-server of the product; clients check it instead of an address. */
export const natsTlsName = "nats.stackctl";
