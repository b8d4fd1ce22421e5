/** Every port that the product listens on or connects to by default; written nowhere else. */
export const ports = {
  /** nats-server for agents and the command line, TLS 1.3. */
  nats: 4222,
  /** sshd on the hosts, for enrolment. */
  ssh: 22,
  /** The registry of images on the controllers, TLS. */
  registry: 4000,
  memcached: 11211,
  /** MariaDB, and what the members of Galera say to each other: group, incremental and whole transfers of state. */
  mariadb: 3306,
  galera: 4567,
  galeraIst: 4568,
  galeraSst: 4444,
  keystone: 5000,
} as const;

/** Those that a service of ours takes on a host, with whose they are. */
export const servicePorts = {
  registry: ports.registry,
  memcached: ports.memcached,
  keystone: ports.keystone,
} as const;
