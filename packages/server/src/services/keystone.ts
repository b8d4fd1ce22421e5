import { ports, type ContainerSpec, type Resource } from "@stackctl/protocol";
import { netmaskOf } from "../config/address.ts";
import { ringNames, ringSecret, type RingName } from "../keys/rings.ts";
import { renderIni, type Ini } from "../render/ini.ts";
import { imageOf, serviceUsers, userOf } from "./images.ts";
import { mariadbSocket } from "./mariadb.ts";
import { databaseUrl } from "./places.ts";
import {
  controllersOf,
  type CompileContext,
  type PlacedResource,
  type ServiceDefinition,
} from "./service.ts";

/** The passwords that the server makes once, by their names in the vault. */
export const keystoneSecrets = {
  database: "keystone-database-password",
  admin: "keystone-admin-password",
} as const;

/** The one region of the cloud. */
export const region = "RegionOne";

const database = "keystone";
const configuration = "/etc/stackctl/keystone";
const keys = "/etc/stackctl/keystone-keys";
/** Inside the container. */
const inside = {
  configuration: "/etc/keystone",
  keys: "/etc/keystone-keys",
  home: "/var/lib/keystone",
} as const;
const owner = serviceUsers.keystone.id;

/**
 * The rings of keys on every controller, before any keystone signs with them. What they are the server decides; on a
 * host they are files in a folder that keystone's container sees into.
 */
export const keystoneKeysService: ServiceDefinition = {
  name: "keystone-keys",
  needs: ["host"],
  resources(host, context) {
    if (host.role !== "controller") return null;
    const resources: Resource[] = [
      directory("keystone-keys", keys),
      ...ringNames.map((name) => ring(name, context)),
    ];
    return resources.map((resource): PlacedResource => ({ resource, origin: ["hosts", host.name] }));
  },
};

/** Keystone's API on each controller; its database, its schema and its admin are the primary's. */
export const keystoneService: ServiceDefinition = {
  name: "keystone",
  needs: ["docker", "registry", "registry-mirror", "memcached", "mariadb", "keystone-keys"],
  after(host, context) {
    // Nobody signs with a key that another one lacks.
    const ringed = controllersOf(context).map(({ name }) => ({ service: "keystone-keys", host: name }));
    return host.name === context.primary
      ? ringed
      : [...ringed, { service: "keystone", host: context.primary }];
  },
  catalog: { type: "identity", name: "keystone", port: ports.keystone, path: "/v3", user: null },
  resources(host, context) {
    if (host.role !== "controller") return null;
    const image = imageOf(context, "keystone");
    if ("waits" in image) return image;
    const address = host.addresses.management;
    const isPrimary = host.name === context.primary;
    const resources: Resource[] = [
      ...(isPrimary ? databaseOf(context) : []),
      file("keystone.conf", keystoneConfiguration(context)),
      file("uwsgi.ini", uwsgiConfiguration(address)),
      ...(isPrimary ? foundation(context, image) : []),
      {
        type: "container",
        name: "keystone",
        spec: {
          image,
          command: ["uwsgi_python3", "--ini", `${inside.configuration}/uwsgi.ini`],
          ...surroundings(),
          capabilities: [],
          environment: {},
          configuration: ["keystone.conf", "uwsgi.ini"].map((name) => `${configuration}/${name}`),
          requires: [],
          stopSeconds: 20,
          // uwsgi takes connections long before keystone is loaded.
          ready: { address, port: ports.keystone, seconds: 180, http: "/v3" },
          cluster: "keystone",
        },
      },
    ];
    return resources.map((resource): PlacedResource => ({ resource, origin: ["hosts", host.name] }));
  },
};

/** What every container with keystone's programs has around it. */
function surroundings(): Pick<ContainerSpec, "user" | "mounts" | "tmpfs"> {
  return {
    user: userOf("keystone"),
    mounts: [
      { source: configuration, target: inside.configuration, readOnly: true },
      { source: keys, target: inside.keys, readOnly: true },
    ],
    tmpfs: [
      { target: "/tmp", options: "mode=1777" },
      { target: inside.home, options: `mode=0700,uid=${String(owner)},gid=${String(owner)}` },
    ],
  };
}

function databaseOf(context: CompileContext): Resource[] {
  const secret = keystoneSecrets.database;
  return [
    { type: "mysql-database", name: database, spec: { socket: mariadbSocket, database } },
    {
      type: "mysql-user",
      name: database,
      spec: {
        socket: mariadbSocket,
        user: database,
        from: netmaskOf(context.cloud.networks.management.cidr),
        password: { secret, version: context.secretVersion(secret) },
        privileges: [],
        databases: [database],
      },
    },
  ];
}

/** The schema, and the first user: what keystone's own programs make. */
function foundation(context: CompileContext, image: ContainerSpec["image"]): Resource[] {
  const secret = keystoneSecrets.admin;
  return [
    {
      type: "container-job",
      name: "keystone-db-sync",
      spec: {
        image,
        command: ["keystone-manage", "db_sync"],
        ...surroundings(),
        schema: { socket: mariadbSocket, database },
        seconds: 1800,
      },
    },
    {
      type: "keystone-bootstrap",
      name: "keystone-admin",
      spec: {
        image,
        ...surroundings(),
        socket: mariadbSocket,
        database,
        password: { secret, version: context.secretVersion(secret) },
        seconds: 300,
      },
    },
  ];
}

/** Keystone 22 (docs.openstack.org/keystone/zed/configuration/config-options.html). */
function keystoneConfiguration(context: CompileContext): Ini {
  const caches = controllersOf(context).map(
    ({ addresses }) => `${addresses.management}:${String(ports.memcached)}`,
  );
  const fernet = `${inside.keys}/fernet`;
  return {
    DEFAULT: { use_stderr: "true" },
    database: {
      connection: databaseUrl(context, { user: database, database, secret: keystoneSecrets.database }),
      // A database that is away for a moment is waited for.
      max_retries: -1,
      connection_recycle_time: 280,
    },
    // No cache of tokens: it would answer for keys that a ring lacks.
    token: { provider: "fernet", expiration: 3600, caching: "false" },
    // As much as bcrypt takes: with more, keystone warns at every login.
    identity: { max_password_length: 72 },
    // The server rotates; should somebody do it by hand, nothing is thrown away.
    fernet_tokens: { key_repository: fernet, max_active_keys: 1000 },
    fernet_receipts: { key_repository: fernet, max_active_keys: 1000 },
    credential: { key_repository: `${inside.keys}/credential` },
    cache: {
      enabled: "true",
      backend: "dogpile.cache.memcached",
      memcache_servers: caches.join(","),
      // A cache that is off costs a moment, and is asked again soon.
      memcache_socket_timeout: 0.5,
      memcache_dead_retry: 30,
    },
    // Whoever asks for the links of an answer gets them as it asked: through the proxy, with its name and TLS.
    oslo_middleware: { enable_proxy_headers_parsing: "true" },
  };
}

/** uWSGI 2.0 (uwsgi-docs.readthedocs.io/en/latest/Options.html). */
function uwsgiConfiguration(address: string): Ini {
  return {
    uwsgi: {
      plugins: "python3",
      "http-socket": `${address}:${String(ports.keystone)}`,
      "wsgi-file": "/usr/bin/keystone-wsgi-public",
      chdir: inside.home,
      master: "true",
      processes: 3,
      // Two threads of one process that meet its first requests load the policy at once, and one is told 403 (seen with 22.0.2).
      threads: 1,
      "enable-threads": "true",
      "lazy-apps": "true",
      "need-app": "true",
      "thunder-lock": "true",
      "no-orphans": "true",
      "die-on-term": "true",
      "buffer-size": 65535,
      // It keeps no connection open, and a client that is not told so sends its next request into nothing.
      "add-header": "Connection: close",
      "disable-logging": "true",
      "log-4xx": "true",
      "log-5xx": "true",
    },
  };
}

function ring(name: RingName, context: CompileContext): Resource {
  const known = context.rings.get(name);
  if (known === undefined) throw new Error(`there is no ring ${name}`);
  return {
    type: "key-ring",
    name,
    spec: {
      path: `${keys}/${name}`,
      owner,
      group: owner,
      generation: known.generation,
      keys: Object.entries(known.keys).map(([index, version]) => ({
        index: Number(index),
        key: { secret: ringSecret(name), version },
      })),
    },
  };
}

function directory(name: string, path: string): Resource {
  return {
    type: "directory",
    name,
    spec: { path, owner, group: owner, mode: "0700", holdsData: false },
  };
}

function file(name: string, ini: Ini): Resource {
  return {
    type: "file",
    name: `keystone-${name}`,
    spec: { path: `${configuration}/${name}`, content: renderIni(ini), owner, group: owner, mode: "0400" },
  };
}
