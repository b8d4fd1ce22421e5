import { galeraMarks, ports, type Resource } from "@stackctl/protocol";
import { netmaskOf } from "../config/address.ts";
import type { CloudHost } from "../config/model.ts";
import { renderIni, type Ini } from "../render/ini.ts";
import { foundingOf } from "./galera.ts";
import { imageOf, userOf } from "./images.ts";
import {
  controllersOf,
  type CompileContext,
  type PlacedResource,
  type ServiceDefinition,
} from "./service.ts";

/** The passwords that the server makes once, by their names in the vault. */
export const mariadbSecrets = { sst: "mariadb-sst-password", monitor: "mariadb-monitor-password" } as const;

const data = "/var/lib/stackctl/mariadb";
const run = "/var/lib/stackctl/mariadb-run";
const configuration = "/etc/stackctl/mariadb";
/** Where root logs in to a host's own member without a password. */
export const mariadbSocket = `${run}/mysqld.sock`;
const socket = mariadbSocket;
/** Inside the container. */
const inside = { data: "/var/lib/mysql", run: "/run/mysqld", configuration: "/etc/mysql/stackctl" } as const;

/** What is on the controllers' disks, known before a cluster is founded. */
export const mariadbDataService: ServiceDefinition = {
  name: "mariadb-data",
  needs: ["host"],
  resources(host) {
    if (host.role !== "controller") return null;
    const origin = ["hosts", host.name];
    return [
      { resource: directory("mariadb-data", data, "data"), origin },
      {
        resource: { type: "galera-data", name: "mariadb", spec: { path: data, wants: { kind: "look" } } },
        origin,
      },
    ];
  },
};

/**
 * MariaDB with Galera on each controller. The primary founds the cluster once, and the users are made there; the others
 * join one after the other, each once the one before it has all data.
 */
export const mariadbService: ServiceDefinition = {
  name: "mariadb",
  needs: ["docker", "registry", "registry-mirror", "mariadb-data"],
  after(host, context) {
    const order = controllersOf(context);
    const before = order[order.findIndex(({ name }) => name === host.name) - 1];
    if (before !== undefined) return [{ service: "mariadb", host: before.name }];
    return [
      { service: "images", host: context.primary },
      ...order.map(({ name }) => ({ service: "mariadb-data", host: name })),
    ];
  },
  resources(host, context) {
    if (host.role !== "controller") return null;
    const image = imageOf(context, "mariadb");
    if ("waits" in image) return image;
    const founding = foundingOf(context);
    if ("waits" in founding) return founding;
    const isPrimary = host.name === context.primary;
    if (founding.kind === "found" && !isPrimary) return { waits: "the cluster is not founded yet" };
    const members = controllersOf(context);
    const address = host.addresses.management;
    const peers = members
      .filter(({ name }) => name !== host.name)
      .map(({ addresses }) => ({ address: addresses.management, port: ports.galera }));
    const seconds = 900;
    const resources: Resource[] = [
      directory("mariadb-run", run, "socket"),
      file("galera.cnf", renderIni(galeraConfiguration(host, context))),
      file("start.sh", [{ text: start }]),
      {
        type: "galera-data",
        name: "member",
        spec: {
          path: data,
          wants: founding.kind === "found" ? { kind: "found", container: "mariadb", peers } : founding,
        },
      },
      {
        type: "container",
        name: "mariadb",
        spec: {
          image,
          command: ["sh", `${inside.configuration}/start.sh`],
          user: userOf("mysql"),
          mounts: [
            { source: configuration, target: inside.configuration, readOnly: true },
            { source: data, target: inside.data, readOnly: false },
            { source: run, target: inside.run, readOnly: false },
          ],
          tmpfs: [{ target: "/tmp", options: "mode=1777" }],
          capabilities: [],
          environment: {},
          configuration: ["galera.cnf", "start.sh"].map((name) => `${configuration}/${name}`),
          requires: [],
          stopSeconds: 90,
          ready: { address, port: ports.mariadb, seconds, galera: socket },
          cluster: "galera",
        },
      },
      {
        type: "galera-member",
        name: "mariadb",
        spec: {
          socket,
          data,
          container: "mariadb",
          uuid: founding.kind === "found" ? null : founding.uuid,
          members: members.length,
          seconds,
        },
      },
      ...(isPrimary ? users(context) : []),
    ];
    return resources.map((resource): PlacedResource => ({ resource, origin: ["hosts", host.name] }));
  },
};

/** MariaDB 10.11 and Galera 26.4: mariadb.com/kb, "Galera Cluster System Variables" and "wsrep_provider_options". */
function galeraConfiguration(host: CloudHost, context: CompileContext): Ini {
  const address = host.addresses.management;
  const addresses = controllersOf(context).map(({ addresses: each }) => each.management);
  const secret = mariadbSecrets.sst;
  return {
    mysqld: {
      user: "mysql",
      datadir: inside.data,
      socket: `${inside.run}/mysqld.sock`,
      "pid-file": `${inside.run}/mariadb.pid`,
      // Not everywhere: another one listens at the same port of the cloud's own address.
      "bind-address": address,
      port: ports.mariadb,
      // It follows from addresses only who somebody is; root comes over the socket.
      "skip-name-resolve": "ON",
      "character-set-server": "utf8mb4",
      max_connections: 2000,
      default_storage_engine: "InnoDB",
      binlog_format: "ROW",
      innodb_autoinc_lock_mode: 2,
      // An acknowledged write survives the loss of power of all at once.
      innodb_flush_log_at_trx_commit: 1,
    },
    galera: {
      wsrep_on: "ON",
      wsrep_provider: "/usr/lib/galera/libgalera_smm.so",
      wsrep_cluster_name: "galera",
      // A single member has nobody to wait for: it may always begin.
      wsrep_cluster_address: `gcomm://${addresses.length === 1 ? "" : addresses.join(",")}`,
      wsrep_node_name: host.name,
      wsrep_node_address: address,
      wsrep_sst_method: "mariabackup",
      wsrep_sst_auth: ["sst:", { secret, version: context.secretVersion(secret) }],
      wsrep_sst_receive_address: `${address}:${String(ports.galeraSst)}`,
      wsrep_provider_options: [
        `gmcast.listen_addr=tcp://${address}:${String(ports.galera)}`,
        `ist.recv_addr=${address}:${String(ports.galeraIst)}`,
        "gcache.size=128M",
        // A dead member holds writers up for 2 s instead of 5.
        ...["evs.suspect_timeout=PT2S", "evs.inactive_timeout=PT6S", "evs.keepalive_period=PT0.5S"],
      ].join(";"),
    },
  };
}

/**
 * What the container starts with. The order to found is carried out only where no cluster's data is, and the order to
 * bootstrap is gone before the server runs: a restart never makes a second cluster.
 */
const start = `# Managed by stackctl. Local edits are reverted.
set -eu
data=${inside.data}
configuration=${inside.configuration}/galera.cnf
born() { grep -Eqs '^uuid: *[0-9a-f-]*[1-9a-f]' "$data/grastate.dat"; }

if [ -e "$data/${galeraMarks.found}" ] && ! born; then
  find "$data" -mindepth 1 ! -name ${galeraMarks.found} -delete
  mariadb-install-db --no-defaults --datadir="$data" --skip-test-db \\
    --auth-root-authentication-method=socket --auth-root-socket-user=root
  : > "$data/${galeraMarks.founded}"
  mv "$data/${galeraMarks.found}" "$data/${galeraMarks.bootstrap}"
fi
rm -f "$data/${galeraMarks.found}"

set --
if [ -e "$data/${galeraMarks.bootstrap}" ]; then
  rm "$data/${galeraMarks.bootstrap}"
  born || set -- --wsrep-new-cluster
elif [ -e "$data/ibdata1" ]; then
  # How far it got, as InnoDB knows it: a member that was killed then asks only for what it lacks.
  position=$(galera_recovery --defaults-file="$configuration") || position=
  set -- $position
  printf '%s' "\${position#--wsrep_start_position=}" > "$data/${galeraMarks.position}"
  if [ -e "$data/${galeraMarks.lead}" ]; then
    ordered=$(cat "$data/${galeraMarks.lead}")
    rm "$data/${galeraMarks.lead}"
    if [ -n "$ordered" ] && [ "$position" = "--wsrep_start_position=$ordered" ]; then
      # What it last saw of the others is over: it begins alone, and they come to it.
      rm -f "$data/gvwstate.dat"
      sed -i 's/^safe_to_bootstrap:.*/safe_to_bootstrap: 1/' "$data/grastate.dat"
      set -- $position --wsrep-new-cluster
    fi
  fi
fi
rm -f "$data/${galeraMarks.lead}"
exec mariadbd --defaults-file="$configuration" "$@"
`;

function users(context: CompileContext): Resource[] {
  const { sst, monitor } = mariadbSecrets;
  const ref = (secret: string): { secret: string; version: number } => ({
    secret,
    version: context.secretVersion(secret),
  });
  return [
    {
      type: "mysql-user",
      name: "sst",
      spec: {
        socket,
        user: "sst",
        from: "localhost",
        password: ref(sst),
        // What mariabackup asks for: mariadb.com/kb, "mariabackup-overview".
        privileges: ["RELOAD", "PROCESS", "LOCK TABLES", "BINLOG MONITOR"],
        databases: [],
      },
    },
    {
      type: "mysql-user",
      name: "monitor",
      spec: {
        socket,
        user: "monitor",
        from: netmaskOf(context.cloud.networks.management.cidr),
        password: ref(monitor),
        privileges: [],
        databases: [],
      },
    },
  ];
}

function directory(name: string, path: string, holds: "data" | "socket"): Resource {
  const id = Number(userOf("mysql").split(":")[0]);
  // In the container root may not pass by permissions: it comes to the socket by its group.
  const group = holds === "socket" ? 0 : id;
  return {
    type: "directory",
    name,
    spec: { path, owner: id, group, mode: "0750", holdsData: holds === "data" },
  };
}

function file(name: string, content: Extract<Resource, { type: "file" }>["spec"]["content"]): Resource {
  const id = Number(userOf("mysql").split(":")[0]);
  return {
    type: "file",
    name: `mariadb-${name}`,
    spec: { path: `${configuration}/${name}`, content, owner: id, group: id, mode: "0400" },
  };
}
