import { createHash } from "node:crypto";
import {
  documentBody,
  hostPaths,
  resourceSchema,
  resourceSpecs,
  type Change,
  type Resource,
  type ResourceType,
} from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import { bind, converge, difference } from "../engine/converge.ts";
import type { Context } from "../engine/resource.ts";
import { FakeHost, fakeId } from "../testing/fake-host.ts";
import { FakeKeystone } from "../testing/fake-keystone.ts";
import { behaviours } from "./index.ts";

const password = "s3cret-of-the-proxy";
const aside = `${hostPaths.state}/aside/`;

/** What every type of resource has to show, and what is particular to it. */
interface Case {
  readonly type: ResourceType;
  readonly name: string;
  /** May depend on the host: a reboot is asked for by the boot id that the host has. */
  readonly spec: (host: FakeHost) => unknown;
  /** Another wish for the same resource. */
  readonly next: (host: FakeHost) => unknown;
  /** The files that it keeps, with the modes that they must have; root owns them. */
  readonly keeps: Readonly<Record<string, number>>;
  /** Fields that differ on a bare host. */
  readonly bare: readonly string[];
  /** One edit of the host for each observed field, with the fields that then differ. */
  readonly edits: readonly {
    readonly name: string;
    readonly edit: (host: FakeHost) => void;
    readonly fields: readonly string[];
  }[];
  /** Specs that are refused. */
  readonly bad: Readonly<Record<string, unknown>>;
  /** What of the host stays after removal although it was not there before; default: nothing. */
  readonly stays?: (before: FakeHost) => void;
  /** What it owns on the host, as other resources would name it. */
  readonly owns: readonly string[];
  /** What must hold beside the observed state, after anything. */
  readonly proof?: (host: FakeHost) => void;
}

const conf = "/etc/chrony/chrony.conf";
const proxyFile = "/etc/stackctl/docker/proxy.env";
const pullProxy = {
  url: "http://proxy.example:3128",
  login: { user: "lab", password: { secret: "packages-proxy-password", version: 1 } },
  direct: ["registry.demo.internal", "10.0.0.0/24"],
};
const keyFile = "/etc/stackctl/registry/tls.key";
const daemonFile = "/etc/docker/daemon.json";
const unitFile = "/etc/systemd/system/stackctl-cache.service";
const pingerFile = "/etc/systemd/system/pinger.service";
const pingerConfig = "/etc/pinger.conf";
const pingerDebt = "/var/lib/stackctl-agent/unit-pinger.loaded";
const sysctlFile = "/etc/sysctl.d/90-stackctl-network.conf";
const at = { name: "registry.demo.internal:4000", ca: "PEM", login: null };
const imageId = (name: string): string => fakeId({ name, digest: "0".repeat(64) });

function fileSpec(content: string): Record<string, unknown> {
  return {
    path: keyFile,
    content: [{ text: content }, { secret: { secret: "registry-key", version: 1 } }],
    owner: 701,
    group: 701,
    mode: "0400",
  };
}

/** A unit of ours, with a file that it reads at its start. */
function unitSpec(host: FakeHost, command: string): Record<string, unknown> {
  if (!host.contents.has(pingerConfig)) text(pingerConfig, "quick\n")(host);
  return {
    unit: "pinger.service",
    kind: "unit",
    text: `[Service]\nExecStart=${command}\n[Install]\nWantedBy=multi-user.target\n`,
    configuration: [pingerConfig],
    enabled: true,
    active: true,
    cluster: null,
  };
}

function userSpec(change: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    user: "nova",
    uid: 702,
    group: "nova",
    gid: 702,
    groups: ["users", "adm"],
    home: "/var/lib/nova",
    shell: "/usr/sbin/nologin",
    ...change,
  };
}

function account(
  change: Partial<NonNullable<ReturnType<FakeHost["users"]["get"]>>>,
): (host: FakeHost) => void {
  return (host) => {
    const found = host.users.get("nova");
    if (found === undefined) throw new Error("no nova");
    host.users.set("nova", { ...found, ...change });
  };
}

function recipe(name: string, from?: string): Record<string, unknown> {
  return {
    name,
    digest: createHash("sha256").update(name).digest("hex"),
    from: from === undefined ? { kind: "debootstrap", suite: "bookworm" } : { kind: "set", name: from },
    users: [],
    packages: [],
    remove: [],
    build: 0,
  };
}

/** A container of an image that is here already. */
function containerSpec(host: FakeHost, image: string): Record<string, unknown> {
  host.imageIds.add(imageId("one"));
  host.imageIds.add(imageId("two"));
  return {
    image: { id: imageId(image), pull: null },
    command: ["memcached", "-l", "10.0.0.1"],
    user: "702:702",
    mounts: [],
    tmpfs: [],
    capabilities: [],
    environment: {},
    configuration: [],
    requires: [],
    stopSeconds: 10,
    ready: null,
    cluster: "cache",
  };
}

const clusterId = "ca7ec2de-0000-11f0-8000-000000000001";
const socket = "/srv/run/mysqld.sock";
const orderFile = "/srv/db/stackctl-found";
const synced = { state: "Synced", primary: true, size: 3, ready: true, uuid: clusterId };
const mysql = { uid: 703, gid: 703 };

/** A data directory in which a cluster is to begin. */
function foundSpec(host: FakeHost, peers: readonly string[]): Record<string, unknown> {
  const folder = { mode: 0o750, owner: "703", group: "703", ...mysql, modifiedMs: 0 };
  host.folders.set("/srv/db", folder);
  return {
    path: "/srv/db",
    wants: {
      kind: "found",
      container: "mariadb",
      peers: peers.map((address) => ({ address, port: 4567 })),
    },
  };
}

/** A member that answers only when it is asked a second time. */
function memberSpec(host: FakeHost, seconds: number): Record<string, unknown> {
  if (host.wsrep.length === 0) host.wsrep.push(null, synced);
  return { socket, data: "/var/lib/x", container: "mariadb", uuid: clusterId, members: 3, seconds };
}

function databaseUserSpec(
  privileges: readonly string[],
  databases: readonly string[],
): Record<string, unknown> {
  const secret = { secret: "mariadb-x-password", version: 1 };
  return {
    socket,
    user: "keystone",
    from: "10.0.0.0/255.255.255.0",
    password: secret,
    privileges,
    databases,
  };
}

const ringFolder = "/etc/stackctl/keystone-keys/fernet";

/** Another key for each version. */
function ringKey(version: number): string {
  return `${Buffer.alloc(32, version).toString("base64url")}=`;
}

/** A ring, by the version of the key at each index. */
function ringSpec(keys: Readonly<Record<string, number>>): Record<string, unknown> {
  return {
    path: ringFolder,
    owner: 706,
    group: 706,
    generation: 1,
    keys: Object.entries(keys).map(([index, version]) => ({
      index: Number(index),
      key: { secret: "ring-key", version },
    })),
  };
}

/** A program that brings a database to what its image is for. */
function jobSpec(host: FakeHost, image: string): Record<string, unknown> {
  host.imageIds.add(imageId("one"));
  host.imageIds.add(imageId("two"));
  host.job = (made) => {
    host.schemas.set("keystone", made.image === imageId("one") ? "a1, b1" : "a2, b2");
    return { code: 0, output: "" };
  };
  return {
    image: { id: imageId(image), pull: null },
    command: ["keystone-manage", "db_sync"],
    user: "706:706",
    mounts: [],
    tmpfs: [],
    schema: { socket, database: "keystone" },
    seconds: 60,
  };
}

function bootstrapSpec(host: FakeHost, version: number): Record<string, unknown> {
  const { image, user, mounts, tmpfs, seconds } = jobSpec(host, "one");
  host.job = (_made, input) => {
    host.keystoneAdmin = `kept of ${input ?? "nothing"}`;
    return { code: 0, output: "" };
  };
  return {
    ...{ image, user, mounts, tmpfs, seconds },
    socket,
    database: "keystone",
    password: { secret: "keystone-admin-password", version },
  };
}

/** The keystone of each host under test. */
const keystones = new WeakMap<FakeHost, FakeKeystone>();

function keystoneOf(host: FakeHost): FakeKeystone {
  const known = keystones.get(host) ?? new FakeKeystone(password);
  keystones.set(host, known);
  host.answer = (request) => known.answer(request);
  return known;
}

function catalogSpec(host: FakeHost, address: string): Record<string, unknown> {
  keystoneOf(host);
  const url = (port: number): string => `http://${address}:${String(port)}`;
  const endpoints = (port: number): Record<string, string> => ({
    public: url(port),
    internal: url(port),
    admin: url(port),
  });
  return {
    url: "http://10.0.0.1:5000/v3",
    password: { secret: "keystone-admin-password", version: 1 },
    region: "RegionOne",
    project: "service",
    services: [
      { type: "identity", name: "keystone", endpoints: endpoints(5000), user: null },
      {
        type: "image",
        name: "glance",
        endpoints: endpoints(9292),
        user: { name: "glance", password: { secret: "glance-password", version: 1 } },
      },
    ],
  };
}

/** A mirror of a registry that has these images. */
function mirrorSpec(host: FakeHost, names: readonly string[]): Record<string, unknown> {
  const images = names.map((name) => ({ name, tag: "a".repeat(64), digest: imageId(name) }));
  for (const { name, tag, digest } of images)
    host.registryImages.set(`10.0.0.1/${name}:${tag}`, { digest, id: digest, sizeBytes: 1000 });
  return { registry: "registry.demo.internal:4000", ca: "PEM", own: "10.0.0.2", from: ["10.0.0.1"], images };
}

const cases: readonly Case[] = [
  {
    type: "hostname",
    name: "hostname",
    owns: ["hostname"],
    spec: () => ({ hostname: "controller1" }),
    next: () => ({ hostname: "controller2" }),
    keeps: { "/etc/hostname": 0o644 },
    bare: ["content", "live"],
    edits: [
      { name: "file", edit: text("/etc/hostname", "other\n"), fields: ["content"] },
      { name: "file gone", edit: gone("/etc/hostname"), fields: ["content", "mode", "owner"] },
      { name: "mode", edit: mode("/etc/hostname", 0o666), fields: ["mode"] },
      { name: "owner", edit: owner("/etc/hostname"), fields: ["owner"] },
      { name: "live", edit: (host) => (host.liveHostname = "other"), fields: ["live"] },
    ],
    bad: {
      "a dot": { hostname: "a.b" },
      "a line": { hostname: "a\nb" },
      "a slash": { hostname: "../b" },
      more: { hostname: "a", x: 1 },
    },
    stays: (before) => {
      before.files.write("/etc/hostname", "controller1\n", 0o644);
      before.liveHostname = "controller1";
    },
  },
  {
    type: "hosts-file",
    name: "hosts",
    owns: ["path:/etc/hosts"],
    spec: () => ({ entries: [{ address: "10.0.0.11", names: ["c1.demo.internal", "c1"] }] }),
    next: () => ({ entries: [] }),
    keeps: { "/etc/hosts": 0o644 },
    bare: ["content"],
    edits: [
      { name: "content", edit: text("/etc/hosts", "127.0.0.1 localhost\n"), fields: ["content"] },
      { name: "gone", edit: gone("/etc/hosts"), fields: ["content", "mode", "owner"] },
      { name: "mode", edit: mode("/etc/hosts", 0o600), fields: ["mode"] },
      { name: "owner", edit: owner("/etc/hosts"), fields: ["owner"] },
    ],
    bad: {
      "a second line": { entries: [{ address: "10.0.0.11", names: ["a\n10.0.0.66 b"] }] },
      "a comment": { entries: [{ address: "10.0.0.11", names: ["a#b"] }] },
      "no address": { entries: [{ address: "10.0.0", names: ["a"] }] },
      "no name": { entries: [{ address: "10.0.0.1", names: [] }] },
    },
    stays: (before) => {
      before.files.write(
        "/etc/hosts",
        "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 debian\n",
        0o644,
      );
    },
  },
  {
    type: "apt-repository",
    name: "debian",
    owns: [
      "/etc/apt/sources.list.d/stackctl.sources",
      "/etc/apt/sources.list",
      "/etc/apt/sources.list.d/debian.sources",
    ].map((path) => `path:${path}`),
    spec: () => ({ mirror: "http://10.0.0.1/debian", securityMirror: "http://10.0.0.1/security" }),
    next: () => ({ mirror: "http://10.0.0.2/debian", securityMirror: null }),
    keeps: { "/etc/apt/sources.list.d/stackctl.sources": 0o644 },
    bare: ["content", "mode", "owner", "ownSources"],
    edits: [
      {
        name: "content",
        edit: text("/etc/apt/sources.list.d/stackctl.sources", "Types: deb\n"),
        fields: ["content"],
      },
      { name: "mode", edit: mode("/etc/apt/sources.list.d/stackctl.sources", 0o600), fields: ["mode"] },
      { name: "owner", edit: owner("/etc/apt/sources.list.d/stackctl.sources"), fields: ["owner"] },
      {
        name: "own sources come back",
        edit: text("/etc/apt/sources.list", "deb http://elsewhere bookworm main\n"),
        fields: ["ownSources"],
      },
      {
        name: "own sources come in the new form",
        edit: text("/etc/apt/sources.list.d/debian.sources", "Types: deb\n"),
        fields: ["ownSources"],
      },
    ],
    bad: {
      "a second line": { mirror: "http://a/b\nTypes: deb", securityMirror: null },
      "a password in the URL": { mirror: "http://u:p@a/b", securityMirror: null },
      "a file": { mirror: "file:///srv", securityMirror: null },
    },
  },
  {
    type: "apt-proxy",
    name: "proxy",
    owns: ["path:/etc/apt/apt.conf.d/90stackctl-proxy", "path:/etc/apt/auth.conf.d/90stackctl-proxy.conf"],
    spec: () => ({
      url: "http://10.0.0.1:3128",
      login: { user: "stack", password: { secret: "packages-proxy-password", version: 1 } },
      direct: ["c1", "10.0.0.11"],
    }),
    next: () => ({ url: "http://10.0.0.1:3129", login: null, direct: [] }),
    keeps: {
      "/etc/apt/apt.conf.d/90stackctl-proxy": 0o644,
      "/etc/apt/auth.conf.d/90stackctl-proxy.conf": 0o600,
    },
    bare: ["content", "mode", "owner", "login"],
    edits: [
      {
        name: "content",
        edit: text("/etc/apt/apt.conf.d/90stackctl-proxy", "// none\n"),
        fields: ["content"],
      },
      { name: "mode", edit: mode("/etc/apt/apt.conf.d/90stackctl-proxy", 0o600), fields: ["mode"] },
      { name: "owner", edit: owner("/etc/apt/apt.conf.d/90stackctl-proxy"), fields: ["owner"] },
      {
        name: "password",
        edit: text("/etc/apt/auth.conf.d/90stackctl-proxy.conf", "machine x\n"),
        fields: ["login"],
      },
      {
        name: "password for all to read",
        edit: mode("/etc/apt/auth.conf.d/90stackctl-proxy.conf", 0o644),
        fields: ["login"],
      },
      {
        name: "password of somebody's",
        edit: owner("/etc/apt/auth.conf.d/90stackctl-proxy.conf"),
        fields: ["login"],
      },
      {
        name: "password gone",
        edit: gone("/etc/apt/auth.conf.d/90stackctl-proxy.conf"),
        fields: ["login"],
      },
    ],
    bad: {
      "a password in the URL": { url: "http://u:p@a:1", login: null, direct: [] },
      "a quote in a host": { url: "http://a:1", login: null, direct: ['a"; x "'] },
      "a password in the spec": {
        url: "http://a:1",
        login: { user: "u", password: "in clear" },
        direct: [],
      },
      "a space in the user": {
        url: "http://a:1",
        login: { user: "u v", password: { secret: "packages-proxy-password", version: 1 } },
        direct: [],
      },
    },
    proof: (host) => {
      const holding = [...host.contents].filter(([, file]) => file.text.includes(password));
      for (const [, file] of holding) expect(file).toMatchObject({ mode: 0o600, owner: "root" });
    },
  },
  {
    type: "package",
    name: "tools",
    owns: ["package:tree", "package:jq"],
    spec: () => ({ packages: ["tree", "jq"] }),
    next: () => ({ packages: ["tree"] }),
    keeps: { "/var/lib/stackctl-agent/installed-packages": 0o600 },
    bare: ["tree", "jq"],
    edits: [
      { name: "first", edit: (host) => host.installed.delete("tree"), fields: ["tree"] },
      { name: "second", edit: (host) => host.installed.delete("jq"), fields: ["jq"] },
    ],
    bad: {
      "an option": { packages: ["-y"] },
      "a removal": { packages: ["tree jq-"] },
      "a path": { packages: ["./tree.deb"] },
      none: { packages: [] },
    },
  },
  {
    type: "chrony",
    name: "chrony",
    owns: ["package:chrony", `path:${conf}`, "unit:chrony.service"],
    spec: () => ({ servers: ["ntp2.example", "ntp1.example"], allow: [], stepThresholdSeconds: 1 }),
    next: () => ({ servers: ["ntp9.example"], allow: ["10.0.0.0/24"], stepThresholdSeconds: 1 }),
    keeps: { [conf]: 0o644, "/var/lib/stackctl-agent/chrony.loaded": 0o600 },
    bare: ["installed", "content", "mode", "owner", "loaded", "enabled", "active"],
    edits: [
      {
        name: "removed",
        edit: (host) => {
          host.installed.delete("chrony");
          host.unitStates.delete("chrony.service");
        },
        fields: ["installed", "enabled", "active"],
      },
      { name: "content", edit: text(conf, "server rogue.example\n"), fields: ["content"] },
      { name: "gone", edit: gone(conf), fields: ["content", "mode", "owner"] },
      { name: "mode", edit: mode(conf, 0o666), fields: ["mode"] },
      { name: "owner", edit: owner(conf), fields: ["owner"] },
      { name: "debt", edit: text("/var/lib/stackctl-agent/chrony.loaded", ""), fields: ["loaded"] },
      {
        name: "disabled",
        edit: (host) => (unit(host, "chrony.service").enabled = false),
        fields: ["enabled"],
      },
      {
        name: "stopped",
        edit: (host) => (unit(host, "chrony.service").active = false),
        fields: ["active"],
      },
    ],
    bad: {
      "a second line": { servers: ["a\nserver b"], allow: [], stepThresholdSeconds: 1 },
      "no server": { servers: [], allow: [], stepThresholdSeconds: 1 },
      "no network": { servers: ["a"], allow: ["all"], stepThresholdSeconds: 1 },
      "a negative step": { servers: ["a"], allow: [], stepThresholdSeconds: -1 },
    },
    proof: (host) => {
      expect(unit(host, "chrony.service").startedWith).toBe(host.files.read(conf));
    },
  },
  {
    type: "file",
    name: "registry-tls.key",
    owns: [`path:${keyFile}`],
    spec: () => fileSpec("one\n"),
    next: () => ({ ...fileSpec("two\n"), owner: 0, group: 0 }),
    keeps: {},
    bare: ["content", "mode", "owner"],
    edits: [
      { name: "content", edit: text(keyFile, "else\n"), fields: ["content"] },
      { name: "gone", edit: gone(keyFile), fields: ["content", "mode", "owner"] },
      { name: "mode", edit: mode(keyFile, 0o644), fields: ["mode"] },
      { name: "owner", edit: owner(keyFile), fields: ["owner"] },
    ],
    bad: {
      "a relative path": { ...fileSpec("x"), path: "etc/x" },
      "a path that goes up": { ...fileSpec("x"), path: "/etc/../root/x" },
      "a mode in words": { ...fileSpec("x"), mode: "u+rw" },
    },
  },
  {
    type: "directory",
    name: "registry-data",
    owns: ["path:/srv/data"],
    spec: () => ({ path: "/srv/data", owner: 701, group: 701, mode: "0750", holdsData: true }),
    next: () => ({ path: "/srv/data", owner: 0, group: 0, mode: "0700", holdsData: true }),
    keeps: {},
    bare: ["mode", "owner"],
    edits: [
      {
        name: "gone",
        edit: (host) => host.folders.delete("/srv/data"),
        fields: ["mode", "owner"],
      },
    ],
    bad: { "a negative owner": { path: "/x", owner: -1, group: 0, mode: "0750", holdsData: false } },
  },
  {
    type: "docker-engine",
    name: "docker",
    owns: [
      "package:docker.io",
      "unit:docker.service",
      `path:${daemonFile}`,
      "path:/etc/docker/certs.d/registry.demo.internal:4000/ca.crt",
    ],
    spec: () => ({ trust: [{ registry: "registry.demo.internal:4000", ca: "PEM" }], cluster: "docker" }),
    next: () => ({
      trust: [{ registry: "registry.example.org", ca: "PEM 2" }],
      proxy: pullProxy,
      cluster: null,
    }),
    keeps: { [daemonFile]: 0o644 },
    bare: [
      "installed",
      "content",
      "mode",
      "owner",
      "trust registry.demo.internal:4000",
      "trusted",
      "loaded",
      "enabled",
      "active",
    ],
    edits: [
      { name: "content", edit: text(daemonFile, "{}"), fields: ["content"] },
      { name: "debt", edit: text("/var/lib/stackctl-agent/docker.loaded", ""), fields: ["loaded"] },
      {
        name: "stopped",
        edit: (host) => (unit(host, "docker.service").active = false),
        fields: ["active"],
      },
      {
        name: "disabled",
        edit: (host) => (unit(host, "docker.service").enabled = false),
        fields: ["enabled"],
      },
      {
        name: "edited and restarted by hand",
        edit: (host) => {
          text(daemonFile, "{}")(host);
          host.restartByHand("docker.service");
        },
        fields: ["content", "loaded"],
      },
      {
        name: "edited, restarted by hand and edited back",
        edit: (host) => {
          const right = host.files.read(daemonFile) ?? "";
          text(daemonFile, "{}")(host);
          host.restartByHand("docker.service");
          text(daemonFile, right)(host);
          host.restartByHand("docker.service");
          text(daemonFile, "{}")(host);
        },
        fields: ["content"],
      },
      {
        name: "trust of before",
        edit: text("/var/lib/stackctl-agent/docker.trusted", "registry.demo.internal:4000\nold:1\n"),
        fields: ["trusted"],
      },
      {
        name: "debt of a proxy",
        edit: text("/var/lib/stackctl-agent/docker.proxy", "due"),
        fields: ["proxy loaded"],
      },
      { name: "a proxy", edit: text(proxyFile, "HTTP_PROXY=http://rogue:1\n"), fields: ["proxy"] },
      {
        name: "trust",
        edit: text("/etc/docker/certs.d/registry.demo.internal:4000/ca.crt", "other"),
        fields: ["trust registry.demo.internal:4000"],
      },
    ],
    bad: { "a registry with a path": { trust: [{ registry: "a/b", ca: "PEM" }], cluster: null } },
    proof: (host) => {
      expect(unit(host, "docker.service").startedWith).toBe(host.files.read(daemonFile));
    },
  },
  {
    type: "container",
    name: "cache",
    owns: ["container:cache", `image:${imageId("one")}`, "unit:stackctl-cache.service", `path:${unitFile}`],
    spec: (host) => containerSpec(host, "one"),
    next: (host) => containerSpec(host, "two"),
    keeps: { [unitFile]: 0o644 },
    bare: ["unit", "loaded", "image", "spec", "configuration", "running", "enabled", "active"],
    edits: [
      {
        name: "removed",
        edit: (host) => host.containers.delete("cache"),
        fields: ["image", "spec", "configuration", "running"],
      },
      {
        name: "killed",
        edit: (host) => {
          const container = host.containers.get("cache");
          if (container !== undefined) container.running = false;
          unit(host, "stackctl-cache.service").active = false;
        },
        fields: ["running", "active"],
      },
      { name: "unit", edit: text(unitFile, "[Unit]\n"), fields: ["unit", "loaded"] },
      {
        name: "disabled",
        edit: (host) => (unit(host, "stackctl-cache.service").enabled = false),
        fields: ["enabled"],
      },
    ],
    bad: {
      "an image by name": { image: { id: "memcached:latest", pull: null } },
      "no command": { command: [] },
    },
    stays: (before) => {
      before.imageIds.add(imageId("one"));
      before.imageIds.add(imageId("two"));
    },
    proof: (host) => {
      expect(host.containers.get("cache")?.running).toBe(true);
    },
  },
  {
    type: "sysctl",
    name: "network",
    owns: [`path:${sysctlFile}`, "sysctl:net.ipv4.ip_forward", "sysctl:net.ipv4.ip_local_port_range"],
    spec: () => ({
      values: { "net.ipv4.ip_forward": "1", "net.ipv4.ip_local_port_range": "20000 60999" },
    }),
    next: () => ({ values: { "net.ipv4.ip_forward": "1", "net.ipv4.tcp_fin_timeout": "30" } }),
    keeps: { [sysctlFile]: 0o644 },
    bare: ["content", "mode", "owner", "net.ipv4.ip_forward", "net.ipv4.ip_local_port_range"],
    edits: [
      { name: "content", edit: text(sysctlFile, "net.ipv4.ip_forward = 0\n"), fields: ["content"] },
      { name: "gone", edit: gone(sysctlFile), fields: ["content", "mode", "owner"] },
      { name: "mode", edit: mode(sysctlFile, 0o600), fields: ["mode"] },
      { name: "owner", edit: owner(sysctlFile), fields: ["owner"] },
      {
        name: "live",
        edit: (host) => host.kernelParameters.set("net.ipv4.ip_forward", "0"),
        fields: ["net.ipv4.ip_forward"],
      },
    ],
    bad: {
      "a path that goes up": { values: { "net.../../etc/x": "1" } },
      "an absolute path": { values: { "/etc/x": "1" } },
      "a second line": { values: { "net.ipv4.ip_forward": "1\nkernel.core_pattern=x" } },
      "a command": { values: { "kernel.core_pattern": "|/bin/sh" } },
    },
  },
  {
    type: "user",
    name: "nova",
    owns: ["user:nova", "group:nova"],
    spec: () => userSpec(),
    next: () => userSpec({ uid: 703, gid: 704, groups: [], shell: "/bin/sh" }),
    keeps: { "/var/lib/stackctl-agent/made-accounts": 0o600 },
    bare: ["gid", "uid", "group", "groups", "home", "shell"],
    edits: [
      {
        name: "gone",
        edit: (host) => host.users.delete("nova"),
        fields: ["uid", "group", "groups", "home", "shell"],
      },
      { name: "number", edit: account({ uid: 1000 }), fields: ["uid"] },
      { name: "main group", edit: account({ group: "users" }), fields: ["group"] },
      { name: "number of the group", edit: (host) => host.groups.set("nova", 1000), fields: ["gid"] },
      { name: "one group more", edit: account({ groups: ["adm", "root", "users"] }), fields: ["groups"] },
      { name: "home", edit: account({ home: "/root" }), fields: ["home"] },
      { name: "shell", edit: account({ shell: "/bin/bash" }), fields: ["shell"] },
    ],
    bad: {
      root: userSpec({ uid: 0 }),
      "root's group": userSpec({ gid: 0 }),
      "an option": userSpec({ user: "-r" }),
      "another field": userSpec({ shell: "/bin/sh:x" }),
      "two groups in one": userSpec({ groups: ["adm,root"] }),
    },
    proof: (host) => {
      expect(host.users.get("nova")?.group).toBe("nova");
    },
  },
  {
    type: "systemd-unit",
    name: "pinger",
    owns: [`path:${pingerFile}`, `path:${pingerDebt}`, "unit:pinger.service"],
    spec: (host) => unitSpec(host, "/usr/bin/ping 10.0.0.1"),
    next: (host) => unitSpec(host, "/usr/bin/ping 10.0.0.2"),
    keeps: { [pingerFile]: 0o644, [pingerDebt]: 0o600 },
    bare: ["content", "mode", "owner", "read", "loaded", "enabled", "active"],
    edits: [
      { name: "content", edit: text(pingerFile, "[Service]\n"), fields: ["content", "read"] },
      { name: "gone", edit: gone(pingerFile), fields: ["content", "mode", "owner", "read"] },
      { name: "mode", edit: mode(pingerFile, 0o600), fields: ["mode"] },
      { name: "owner", edit: owner(pingerFile), fields: ["owner"] },
      { name: "debt", edit: text(pingerDebt, ""), fields: ["loaded"] },
      {
        name: "disabled",
        edit: (host) => (unit(host, "pinger.service").enabled = false),
        fields: ["enabled"],
      },
      { name: "stopped", edit: (host) => (unit(host, "pinger.service").active = false), fields: ["active"] },
    ],
    bad: {
      "a path as unit": { unit: "../x.service" },
      "no kind of unit": { unit: "x.conf" },
    },
    stays: text(pingerConfig, "quick\n"),
    proof: (host) => {
      expect(unit(host, "pinger.service").startedWith).toBe(host.files.read(pingerFile));
    },
  },
  {
    type: "galera-data",
    name: "member",
    owns: [],
    spec: (host) => foundSpec(host, []),
    next: (host) => foundSpec(host, ["10.0.0.12"]),
    keeps: {},
    bare: ["data"],
    edits: [{ name: "order lost", edit: (host) => host.contents.delete(orderFile), fields: ["data"] }],
    bad: {
      "a path that goes up": { path: "/srv/../db", wants: { kind: "look" } },
      "no cluster": { path: "/srv/db", wants: { kind: "member", uuid: "any" } },
      "an unknown wish": { path: "/srv/db", wants: { kind: "clear" } },
    },
    stays: (before) => {
      foundSpec(before, []);
      before.files.write(orderFile, "", 0o600, mysql);
    },
  },
  {
    type: "galera-member",
    name: "mariadb",
    owns: [],
    spec: (host) => memberSpec(host, 5),
    next: (host) => memberSpec(host, 9),
    keeps: {},
    bare: ["serves"],
    edits: [
      {
        name: "cut off",
        edit: (host) => host.wsrep.unshift({ ...synced, primary: false, ready: false, size: 1 }),
        fields: ["serves"],
      },
      {
        name: "of another cluster",
        edit: (host) => host.wsrep.unshift({ ...synced, uuid: "ca7ec2de-0000-11f0-8000-000000000002" }),
        fields: ["cluster"],
      },
    ],
    bad: {
      "a container with a path": { socket, container: "a/b", uuid: null, members: 1, seconds: 1 },
      "for ever": { socket, container: "a", uuid: null, members: 1, seconds: 1e6 },
    },
  },
  {
    type: "mysql-database",
    name: "keystone",
    owns: ["database:keystone"],
    spec: () => ({ socket, database: "keystone" }),
    next: () => ({ socket, database: "keystone2" }),
    keeps: {},
    bare: ["exists"],
    edits: [{ name: "dropped", edit: (host) => host.databases.delete("keystone"), fields: ["exists"] }],
    bad: { "a quote in the name": { socket, database: "a`; DROP DATABASE b" } },
    stays: (before) => {
      before.databases.add("keystone");
    },
  },
  {
    type: "mysql-user",
    name: "keystone",
    owns: ["database-user:keystone@10.0.0.0/255.255.255.0"],
    spec: () => databaseUserSpec(["PROCESS"], ["keystone"]),
    next: () => databaseUserSpec([], ["keystone2"]),
    keeps: {},
    bare: ["password", "privileges"],
    edits: [
      {
        name: "another password",
        edit: (host) => {
          for (const user of host.databaseUsers.values()) user.hash = "*0";
        },
        fields: ["password"],
      },
      {
        name: "more than it should have",
        edit: (host) => {
          for (const user of host.databaseUsers.values()) user.rights.add("SUPER").delete("PROCESS");
        },
        fields: ["privileges"],
      },
      {
        name: "dropped",
        edit: (host) => host.databaseUsers.delete("keystone@10.0.0.0/255.255.255.0"),
        fields: ["password", "privileges"],
      },
    ],
    bad: {
      "a statement as privilege": databaseUserSpec(["ALL ON *.* TO x; --"], []),
      "a quote in a database": databaseUserSpec([], ["a`"]),
      "from everywhere": { ...databaseUserSpec([], []), from: "%" },
      "a password in the spec": { ...databaseUserSpec([], []), password: "in clear" },
    },
  },
  {
    type: "image-set",
    name: "images",
    owns: ["base", "cache"].map((name) => `image:${name}:${createHash("sha256").update(name).digest("hex")}`),
    spec: () => ({
      registry: at,
      mirror: null,
      proxy: null,
      images: [recipe("base"), recipe("cache", "base")],
    }),
    next: () => ({
      registry: at,
      mirror: null,
      proxy: null,
      images: [recipe("base"), recipe("cache", "base"), recipe("other", "base")],
    }),
    keeps: {},
    bare: ["base", "cache"],
    edits: [
      {
        name: "registry emptied",
        edit: (host) => {
          host.registryImages.clear();
        },
        fields: ["base", "cache"],
      },
    ],
    bad: { "no image": { registry: null, mirror: null, proxy: null, images: [] } },
  },
  {
    type: "key-ring",
    name: "fernet",
    owns: [`path:${ringFolder}`],
    spec: () => ringSpec({ 0: 2, 1: 1 }),
    next: () => ringSpec({ 0: 3, 2: 2 }),
    keeps: {},
    bare: ["folder", "keys", "files"],
    edits: [
      { name: "a key gone", edit: gone(`${ringFolder}/1`), fields: ["keys"] },
      { name: "a key cut off", edit: text(`${ringFolder}/0`, "AgIC"), fields: ["keys"] },
      { name: "a key that others read", edit: mode(`${ringFolder}/0`, 0o644), fields: ["files"] },
      { name: "the owner", edit: owner(`${ringFolder}/1`), fields: ["files"] },
      {
        name: "the folder",
        edit: (host) => {
          const folder = host.folders.get(ringFolder);
          if (folder !== undefined) host.folders.set(ringFolder, { ...folder, mode: 0o755 });
        },
        fields: ["folder"],
      },
    ],
    bad: {
      "one key": ringSpec({ 0: 1 }),
      "a key in clear": { ...ringSpec({ 0: 1, 1: 2 }), keys: [{ index: 0, key: ringKey(1) }] },
      "no generation": { ...ringSpec({ 0: 1, 1: 2 }), generation: 0 },
    },
    proof: (host) => {
      expect(host.files.list(ringFolder)).toHaveLength(2);
    },
  },
  {
    type: "container-job",
    name: "keystone-db-sync",
    owns: ["container:keystone-db-sync"],
    spec: (host) => jobSpec(host, "one"),
    next: (host) => jobSpec(host, "two"),
    keeps: {},
    bare: ["schema"],
    edits: [
      {
        name: "another version",
        edit: (host) => host.schemas.set("keystone", "a0"),
        fields: ["schema"],
      },
      { name: "the tables gone", edit: (host) => host.schemas.delete("keystone"), fields: ["schema"] },
    ],
    bad: { "no schema to prove it by": { schema: null } },
    stays: (before) => before.schemas.set("keystone", "a1, b1"),
  },
  {
    type: "keystone-bootstrap",
    name: "keystone-admin",
    owns: ["container:keystone-admin"],
    spec: (host) => bootstrapSpec(host, 1),
    next: (host) => bootstrapSpec(host, 2),
    keeps: {},
    bare: ["admin", "password"],
    edits: [
      { name: "another password", edit: (host) => (host.keystoneAdmin = "x"), fields: ["password"] },
      { name: "no admin", edit: (host) => (host.keystoneAdmin = null), fields: ["admin", "password"] },
    ],
    bad: { "a password in clear": { password } },
    stays: (before) => (before.keystoneAdmin = `kept of ${password}`),
  },
  {
    type: "keystone-catalog",
    name: "catalog",
    owns: [],
    spec: (host) => catalogSpec(host, "10.0.0.1"),
    next: (host) => catalogSpec(host, "10.0.0.9"),
    keeps: {},
    bare: [
      ...["region", "project"],
      ...["identity", "identity public", "identity internal", "identity admin"],
      ...["image", "image public", "image internal", "image admin", "user glance"],
    ],
    edits: [
      {
        name: "an endpoint deleted",
        edit: (host) => keystoneOf(host).rows["endpoints"]?.shift(),
        fields: ["identity public"],
      },
      {
        name: "an endpoint moved",
        edit: (host) => Object.assign(keystoneOf(host).rows["endpoints"]?.[1] ?? {}, { url: "http://x" }),
        fields: ["identity internal"],
      },
      {
        name: "an endpoint twice",
        edit: (host) => {
          const endpoints = keystoneOf(host).rows["endpoints"];
          endpoints?.push({ ...endpoints[0], id: "zz" });
        },
        fields: ["identity public"],
      },
      {
        name: "a service deleted, with its endpoints",
        edit: (host) => {
          const { rows } = keystoneOf(host);
          const [gone] = rows["services"]?.splice(0, 1) ?? [];
          rows["endpoints"] = (rows["endpoints"] ?? []).filter((each) => each["service_id"] !== gone?.["id"]);
        },
        fields: ["identity", "identity public", "identity internal", "identity admin"],
      },
      {
        name: "a service renamed",
        edit: (host) => Object.assign(keystoneOf(host).rows["services"]?.[1] ?? {}, { name: "x" }),
        fields: ["image"],
      },
    ],
    bad: {
      "no URL": { url: "keystone" },
      "a URL with a secret in it": { url: "http://admin:x@keystone:5000/v3" },
    },
    proof: (host) => {
      const { rows, assignments } = keystoneOf(host);
      expect(rows["services"]).toHaveLength(2);
      expect(rows["endpoints"]).toHaveLength(6);
      const [service] = (rows["projects"] ?? []).filter(({ name }) => name === "service");
      expect([...assignments].map((each) => each.split("/")[0])).toEqual([service?.["id"], service?.["id"]]);
    },
  },
  {
    type: "registry-mirror",
    name: "images",
    owns: [],
    spec: (host) => mirrorSpec(host, ["base"]),
    next: (host) => mirrorSpec(host, ["base", "cache"]),
    keeps: {},
    bare: ["base"],
    edits: [
      {
        name: "emptied",
        edit: (host) => {
          for (const key of host.registryImages.keys())
            if (key.startsWith("10.0.0.2/")) host.registryImages.delete(key);
        },
        fields: ["base"],
      },
    ],
    bad: { "nowhere to copy from": { registry: "r:1", ca: "", own: "10.0.0.2", from: [], images: [] } },
  },
  {
    type: "reboot",
    name: "first-apply",
    owns: [],
    spec: (host) => ({ notBootId: host.currentBootId }),
    next: (host) => ({ notBootId: host.currentBootId }),
    keeps: {},
    bare: ["bootedSince"],
    edits: [],
    bad: { "no boot id": { notBootId: "yesterday" } },
  },
];

it("has a case for every type", () => {
  expect(cases.map(({ type }) => type).toSorted()).toEqual(Object.keys(resourceSpecs).toSorted());
});

describe.each(cases)("$type", (given) => {
  it("plans every field on a bare host and touches nothing", async () => {
    const { host, context, resource } = world(given);
    const before = host.snapshot();
    const changes = await difference(behaviours, resource, context);
    expect(fields(changes)).toEqual(given.bare);
    expect(host.mutations).toEqual([]);
    expect(host.snapshot()).toEqual(before);
  });

  it("converges on a bare host, and a second run changes nothing", async () => {
    const { host, context, resource } = world(given);
    expect(fields(await run(resource, context))).toEqual(given.bare);
    given.proof?.(host);
    host.mutations.length = 0;
    const after = host.snapshot();
    expect(await run(resource, context)).toEqual([]);
    expect(host.mutations).toEqual([]);
    expect(host.snapshot()).toEqual(after);
  });

  it("keeps its files as open or closed as they have to be", async () => {
    const { host, context, resource } = world(given);
    await run(resource, context);
    for (const [path, bits] of Object.entries(given.keeps))
      expect(host.files.stat(path), path).toMatchObject({ mode: bits, owner: "root", group: "root" });
  });

  it("makes a new wish true over an old one", async () => {
    const { host, context, resource } = world(given);
    await run(resource, context);
    await run(parsed(given, given.next(host)), context);
    given.proof?.(host);
  });

  it.each(given.edits)("heals an edit: $name", async ({ edit, fields: differing }) => {
    const { host, context, resource } = world(given);
    await run(resource, context);
    const good = host.snapshot();
    edit(host);
    expect(fields(await run(resource, context))).toEqual(differing);
    given.proof?.(host);
    // What somebody wrote is kept aside, in case it was dear.
    for (const path of host.contents.keys()) if (path.startsWith(aside)) host.contents.delete(path);
    const kept = Object.fromEntries(Object.entries(good.files).filter(([path]) => !path.startsWith(aside)));
    expect(host.snapshot()).toEqual({ ...good, files: kept });
  });

  it("names every observed field in one of its edits", async () => {
    const { context, resource } = world(given);
    const observed = Object.keys(await bind(behaviours, resource).read(context));
    const covered = new Set([...given.edits.flatMap((edit) => edit.fields), ...given.bare]);
    expect([...covered].toSorted()).toEqual(observed.toSorted());
  });

  it("survives a crash after every mutating call, on a bare host, at a new wish and at a repair", async () => {
    const starts: ((host: FakeHost) => void)[] = [() => undefined, ...given.edits.map(({ edit }) => edit)];
    for (const [index, edit] of starts.entries()) {
      for (const wish of [given.spec, given.next]) {
        for (let calls = 1; ; calls++) {
          const { host, context, resource } = world(given);
          if (index > 0 || wish === given.next) await run(resource, context);
          edit(host);
          const wanted = parsed(given, wish(host));
          const before = host.mutations.length;
          host.crashAfter(calls);
          const crashed = await fails(() => run(wanted, context));
          host.recover();
          if (!crashed) {
            expect(host.mutations.length - before).toBeLessThan(calls);
            break;
          }
          await run(wanted, context);
          given.proof?.(host);
          expect(await difference(behaviours, wanted, context)).toEqual([]);
        }
      }
    }
  });

  it("leaves nothing when it is removed, also when a crash comes between, and again when there is nothing", async () => {
    for (let calls = 1; ; calls++) {
      const { host, context, resource } = world(given);
      const bare = new FakeHost();
      given.stays?.(bare);
      await run(resource, context);
      host.crashAfter(calls);
      const crashed = await fails(() => bind(behaviours, resource).remove(context));
      host.recover();
      await bind(behaviours, resource).remove(context);
      expect(host.snapshot()).toEqual(bare.snapshot());
      if (!crashed) break;
    }
  });

  it("says what it owns, and spares of that what others own by now", async () => {
    const { host, context, resource } = world(given);
    await run(resource, context);
    expect(bind(behaviours, resource).owns()).toEqual(given.owns);
    const before = host.snapshot();
    const images = [...host.imageIds];
    const parameters = new Map(host.kernelParameters);
    await bind(behaviours, resource).remove(context, new Set(given.owns));
    const after = host.snapshot();
    for (const what of given.owns) {
      const [kind, ...rest] = what.split(":");
      const name = rest.join(":");
      if (kind === "path")
        expect([after.files[name], after.folders[name]], what).toEqual([
          before.files[name],
          before.folders[name],
        ]);
      if (kind === "package") expect(after.packages[name], what).toBe(before.packages[name]);
      if (kind === "unit") expect(after.units[name], what).toEqual(before.units[name]);
      if (kind === "container") expect(after.containers[name], what).toEqual(before.containers[name]);
      if (kind === "sysctl") expect(host.system.kernelParameter(name), what).toBe(parameters.get(name));
      if (kind === "user") expect(host.accounts.user(name), what).not.toBeNull();
      if (kind === "group") expect(host.accounts.group(name), what).not.toBeNull();
      if (kind === "image") expect([...host.imageIds]).toEqual(images);
    }
  });

  it("says what it would restart, and only then", async () => {
    const { host, context, resource } = world(given);
    const changes = await run(resource, context);
    const said = bind(behaviours, resource).restarts(changes);
    const restarted = host.mutations.filter((call) => /^(units\.(restart|start)|system\.reboot)/.test(call));
    expect(said.length).toBe(restarted.length);
    expect(bind(behaviours, resource).restarts([])).toEqual(given.type === "reboot" ? ["reboot"] : []);
  });

  it.each(Object.keys(given.bad))("rejects a bad spec: %s", (name) => {
    expect(
      resourceSchema.safeParse({ type: given.type, name: given.name, spec: given.bad[name] }).success,
    ).toBe(false);
    expect(documentBody.shape.resources.safeParse([{ ...given, spec: given.bad[name] }]).success).toBe(false);
  });

  it("watches what it reads", () => {
    const { resource } = world(given);
    const { files = [] } = bind(behaviours, resource).watch();
    for (const path of files) expect(path).toMatch(/^\/(etc|srv)\//);
    if (given.edits.some((edit) => edit.fields.includes("content"))) expect(files.length).toBeGreaterThan(0);
  });

  it("never shows a secret", async () => {
    const { host, context, resource } = world(given);
    const changes = await run(resource, context);
    const seen = await bind(behaviours, resource).read(context);
    expect(JSON.stringify([changes, seen, host.mutations])).not.toContain(password);
  });
});

describe("container", () => {
  it("is made anew when a file changes that it reads at its start, and only then", async () => {
    const host = new FakeHost();
    const context = contextOf(host, password);
    const wanted = resourceSchema.parse({
      type: "container",
      name: "cache",
      spec: { ...containerSpec(host, "one"), configuration: ["/etc/cache.conf"] },
    });
    text("/etc/cache.conf", "one")(host);
    await run(wanted, context);
    expect(await run(wanted, context)).toEqual([]);
    text("/etc/cache.conf", "two")(host);
    expect(fields(await run(wanted, context))).toEqual(["configuration"]);
    expect(host.mutations.filter((call) => call === "docker.create cache")).toHaveLength(2);
  });

  it("is pulled by digest when its image is not here, and is not started when another one came", async () => {
    const host = new FakeHost();
    const context = contextOf(host, password);
    const digest = imageId("manifest");
    const pull = { registry: "r.demo.internal:4000", name: "cache", digest, login: null };
    const wanted = resourceSchema.parse({
      type: "container",
      name: "cache",
      spec: { ...containerSpec(host, "one"), image: { id: imageId("one"), pull } },
    });
    host.imageIds.clear();
    await expect(run(wanted, context)).rejects.toMatchObject({ code: "image_unavailable" });
    host.registryImages.set("r.demo.internal:4000/cache:tag", { digest, id: imageId("two"), sizeBytes: 1 });
    await expect(run(wanted, context)).rejects.toMatchObject({ code: "image_unavailable" });
    expect(host.containers.size).toBe(0);
    host.registryImages.set("r.demo.internal:4000/cache:tag", { digest, id: imageId("one"), sizeBytes: 1 });
    await run(wanted, context);
    expect(host.containers.get("cache")?.running).toBe(true);
  });

  it("takes the image of its predecessor away", async () => {
    const host = new FakeHost();
    const context = contextOf(host, password);
    const wanted = (image: string): Resource =>
      resourceSchema.parse({ type: "container", name: "cache", spec: containerSpec(host, image) });
    await run(wanted("one"), context);
    await run(wanted("two"), context);
    expect([...host.imageIds]).toEqual([imageId("two")]);
  });
});

describe("docker-engine", () => {
  const wanted = (spec: Record<string, unknown>): Resource =>
    resourceSchema.parse({ type: "docker-engine", name: "docker", spec: { cluster: null, ...spec } });

  it("trusts the registry of before no more, and leaves nothing of it, also when it was killed in between", async () => {
    const of = (registry: string): Resource => wanted({ trust: [{ registry, ca: "PEM" }] });
    for (let calls = 1; ; calls++) {
      const host = new FakeHost();
      const context = contextOf(host, password);
      await run(of("old.example:4000"), context);
      host.crashAfter(calls);
      const crashed = await fails(() => run(of("new.example"), context));
      host.recover();
      await run(of("new.example"), context);
      const trusted = [...host.contents.keys()].filter((path) => path.startsWith("/etc/docker/certs.d/"));
      expect(trusted).toEqual(["/etc/docker/certs.d/new.example/ca.crt"]);
      expect(unit(host, "docker.service").starts).toBe(2);
      if (!crashed) break;
    }
  });

  it("pulls through a proxy whose password only root can read, and that systemd tells nobody", async () => {
    const host = new FakeHost();
    const context = contextOf(host, "p@ss/w:rd %");
    await run(wanted({ trust: [] }), context);
    const changes = await run(wanted({ trust: [], proxy: pullProxy }), context);
    expect(fields(changes)).toEqual(["proxy", "proxy loaded"]);
    expect(host.files.stat(proxyFile)).toMatchObject({ mode: 0o600, owner: "root", group: "root" });
    expect(host.files.read(proxyFile)).toContain(
      "HTTPS_PROXY=http://lab:p%40ss%2Fw%3Ard%20%25@proxy.example:3128\nNO_PROXY=10.0.0.0/24,registry.demo.internal\n",
    );
    for (const [path, { text: content }] of host.contents)
      if (path !== proxyFile) expect(content, path).not.toMatch(/p%40ss|p@ss/);
    expect(JSON.stringify(changes)).not.toMatch(/p%40ss|p@ss/);
    const { starts } = unit(host, "docker.service");
    await run(wanted({ trust: [] }), context);
    expect(host.files.read(proxyFile)).toBeNull();
    expect(unit(host, "docker.service").starts).toBe(starts + 1);
  });

  it("restarts dockerd for a new version of the password, and its digest does not depend on what that is", async () => {
    const host = new FakeHost();
    const next = {
      ...pullProxy,
      login: { user: "lab", password: { ...pullProxy.login.password, version: 2 } },
    };
    await run(wanted({ trust: [], proxy: pullProxy }), contextOf(host, "one"));
    const loaded = host.files.read("/var/lib/stackctl-agent/docker.proxy");
    expect(fields(await run(wanted({ trust: [], proxy: pullProxy }), contextOf(host, "two")))).toEqual([
      "proxy",
    ]);
    expect(host.files.read("/var/lib/stackctl-agent/docker.proxy")).toBe(loaded);
    expect(fields(await run(wanted({ trust: [], proxy: next }), contextOf(host, "three")))).toEqual([
      "proxy",
      "proxy loaded",
    ]);
  });
});

describe("image-set", () => {
  it("takes what a registry has instead of making it, so that another host goes on with the same images", async () => {
    const host = new FakeHost();
    const context = contextOf(host, password);
    const spec = { registry: null, take: at, mirror: null, proxy: null, images: [recipe("base")] };
    const wanted = resourceSchema.parse({ type: "image-set", name: "base", spec });
    if (wanted.type !== "image-set") throw new Error("not a set");
    const [base] = wanted.spec.images;
    if (base === undefined) throw new Error("no image");
    const id = fakeId(base);
    host.registryImages.set(`${at.name}/base:${base.digest}`, { digest: imageId("m"), id, sizeBytes: 1 });
    await run(wanted, context);
    expect(host.mutations).toEqual(["images.take base"]);
    expect(await bind(behaviours, wanted).outputs(context)).toEqual({
      base: JSON.stringify({ recipe: base.digest, id, digest: null }),
    });
    host.imageIds.clear();
    host.registryImages.clear();
    await run(wanted, context);
    expect(host.mutations.at(-1)).toBe("images.build base");
  });
});

describe("chrony", () => {
  const [given] = cases.filter(({ type }) => type === "chrony");
  if (given === undefined) throw new Error("no case for chrony");

  it.each([
    { name: "new wish", wish: given.next, edit: null },
    { name: "local edit", wish: given.spec, edit: "server rogue.example\n" },
  ])("still owes the restart after a failure of it ($name)", async ({ wish, edit }) => {
    const { host, context, resource } = world(given);
    await run(resource, context);
    if (edit !== null) text(conf, edit)(host);
    const wanted = parsed(given, wish(host));
    host.failOn = "units.restart";
    await expect(run(wanted, context)).rejects.toThrow("injected failure");

    expect(fields(await run(wanted, context))).toEqual(["loaded"]);
    expect(host.mutations.at(-2)).toBe("units.restart chrony.service");
    given.proof?.(host);
  });

  it("does not restart for a mode or an order of servers", async () => {
    const { host, context, resource } = world(given);
    await run(resource, context);
    const { starts } = unit(host, "chrony.service");
    mode(conf, 0o666)(host);
    await run(resource, context);
    await run(
      parsed(given, { servers: ["ntp1.example", "ntp2.example"], allow: [], stepThresholdSeconds: 1 }),
      context,
    );
    expect(unit(host, "chrony.service").starts).toBe(starts);
  });

  it("serves others only when asked to", async () => {
    const { host, context, resource } = world(given);
    await run(resource, context);
    expect(host.files.read(conf)).not.toMatch(/^(allow|local)/m);
    await run(parsed(given, given.next(host)), context);
    expect(host.files.read(conf)).toMatch(/^allow 10\.0\.0\.0\/24$/m);
    expect(host.files.read(conf)).toMatch(/^local stratum 10 orphan$/m);
  });
});

describe("sysctl", () => {
  const [given] = cases.filter(({ type }) => type === "sysctl");
  if (given === undefined) throw new Error("no case for sysctl");

  it("puts a parameter back that is asked for no more", async () => {
    const { host, context, resource } = world(given);
    await run(resource, context);
    await run(parsed(given, given.next(host)), context);
    expect(host.kernelParameters.get("net.ipv4.ip_local_port_range")).toBe("32768 60999");
    expect(host.kernelParameters.get("net.ipv4.tcp_fin_timeout")).toBe("30");
  });

  it("keeps nothing for the next boot that the kernel does not take", async () => {
    const { host, context } = world(given);
    const unknown = parsed(given, { values: { "net.ipv4.nosuch": "1" } });
    await expect(run(unknown, context)).rejects.toMatchObject({ code: "file_failed" });
    expect(host.files.read(sysctlFile)).toBeNull();
  });
});

describe("user", () => {
  const [given] = cases.filter(({ type }) => type === "user");
  if (given === undefined) throw new Error("no case for user");

  it("keeps on removal what was there before it", async () => {
    const { host, context, resource } = world(given);
    host.groups.set("nova", 702);
    await run(resource, context);
    await bind(behaviours, resource).remove(context);
    expect(host.users.has("nova")).toBe(false);
    expect(host.groups.get("nova")).toBe(702);
  });

  it("says so when somebody else has the number", async () => {
    const { host, context, resource } = world(given);
    host.users.set("other", { uid: 702, group: "users", groups: [], home: "/", shell: "/bin/sh" });
    await expect(run(resource, context)).rejects.toMatchObject({ code: "command_failed" });
  });
});

describe("systemd-unit", () => {
  const [given] = cases.filter(({ type }) => type === "systemd-unit");
  if (given === undefined) throw new Error("no case for systemd-unit");

  it("restarts when a file changes that it reads at its start, and only then", async () => {
    const { host, context, resource } = world(given);
    await run(resource, context);
    const { starts } = unit(host, "pinger.service");
    mode(pingerFile, 0o666)(host);
    await run(resource, context);
    expect(unit(host, "pinger.service").starts).toBe(starts);
    text(pingerConfig, "slow\n")(host);
    expect(fields(await run(resource, context))).toEqual(["loaded"]);
    expect(unit(host, "pinger.service").starts).toBe(starts + 1);
  });

  it.each([
    { name: "new wish", wish: given.next, edit: null },
    { name: "local edit", wish: given.spec, edit: "[Service]\n" },
  ])("still owes the restart after a failure of it ($name)", async ({ wish, edit }) => {
    const { host, context, resource } = world(given);
    await run(resource, context);
    if (edit !== null) text(pingerFile, edit)(host);
    const wanted = parsed(given, wish(host));
    host.failOn = "units.restart";
    await expect(run(wanted, context)).rejects.toThrow("injected failure");
    expect(fields(await run(wanted, context))).toEqual(["loaded"]);
    given.proof?.(host);
  });

  it("stops and disables one that is not to run, and owes it no restart", async () => {
    const { host, context, resource } = world(given);
    await run(resource, context);
    const off = parsed(given, { ...(given.spec(host) as object), enabled: false, active: false });
    expect(fields(await run(off, context))).toEqual(["loaded", "enabled", "active"]);
    expect(await run(off, context)).toEqual([]);
    expect(bind(behaviours, off).restarts([{ field: "content", from: "a", to: "b" }])).toEqual([]);
  });

  it("adds to a package's unit, and takes only that away again", async () => {
    const { host, context } = world(given);
    await host.packages.install(["chrony"]);
    const before = host.snapshot();
    const added = parsed(given, {
      ...(given.spec(host) as object),
      unit: "chrony.service",
      kind: "drop-in",
      text: "[Service]\nLimitNOFILE=10000\n",
      configuration: [],
    });
    const { starts } = unit(host, "chrony.service");
    await run(added, context);
    expect(host.files.read("/etc/systemd/system/chrony.service.d/stackctl-pinger.conf")).toContain("10000");
    expect(unit(host, "chrony.service").starts).toBe(starts + 1);
    expect(await run(added, context)).toEqual([]);
    await bind(behaviours, added).remove(context);
    await bind(behaviours, added).remove(context);
    expect(host.snapshot()).toEqual(before);
    // It runs without what was added.
    expect(unit(host, "chrony.service").starts).toBe(starts + 2);
  });

  it("is never started without what was added to it, wherever a crash came", async () => {
    for (let calls = 1; ; calls++) {
      const { host, context } = world(given);
      host.contents.set(pingerFile, { text: "[Service]\n", mode: 0o644, owner: "root", group: "root" });
      await host.units.reload();
      const spec = { ...(given.spec(host) as object), kind: "drop-in", text: "LimitNOFILE=10000\n" };
      const added = parsed(given, spec);
      host.crashAfter(calls);
      const crashed = await fails(() => run(added, context));
      host.recover();
      await run(added, context);
      expect(unit(host, "pinger.service").startedWith).toBe("[Service]\nLimitNOFILE=10000\n");
      if (!crashed) break;
    }
  });

  it("is a member of a cluster only while it takes one down", () => {
    const { host } = world(given);
    const member = bind(behaviours, parsed(given, { ...(given.spec(host) as object), cluster: "libvirt" }));
    const change = (...names: string[]): Change[] => names.map((field) => ({ field, from: null, to: "x" }));
    expect(member.disrupts(change("content", "loaded"))).toBe("libvirt");
    expect(member.disrupts(change("loaded", "active"))).toBeNull();
    expect(member.disrupts(change("enabled", "mode"))).toBeNull();
    expect(member.disrupts("removal")).toBe("libvirt");
  });
});

describe("apt-repository", () => {
  it("gives back the host's own sources as they were, mode and all, whatever was written there since", async () => {
    const [given] = cases.filter(({ type }) => type === "apt-repository");
    if (given === undefined) throw new Error("no case");
    const { host, context, resource } = world(given);
    const path = "/etc/apt/sources.list";
    mode(path, 0o640)(host);
    const own = host.contents.get(path);
    await run(resource, context);
    text(path, "deb http://rogue bookworm main\n")(host);
    await run(resource, context);
    await bind(behaviours, resource).remove(context);
    expect(host.contents.get(path)).toEqual(own);
  });
});

describe("directory", () => {
  it("keeps data and says where, and of another only what is empty goes", async () => {
    for (const holdsData of [true, false]) {
      const host = new FakeHost();
      const context = contextOf(host, password);
      const spec = { path: "/var/lib/stackctl/registry", owner: 701, group: 701, mode: "0750", holdsData };
      const resource = resourceSchema.parse({ type: "directory", name: "data", spec });
      await run(resource, context);
      expect(await bind(behaviours, resource).keeps(context)).toBeNull();
      text("/var/lib/stackctl/registry/blob", "data")(host);
      expect(await bind(behaviours, resource).keeps(context)).toBe(holdsData ? spec.path : null);
      await bind(behaviours, resource).remove(context);
      expect(host.contents.has("/var/lib/stackctl/registry/blob")).toBe(true);
    }
  });
});

describe.each(["chrony", "docker-engine"])("%s that was there before us", (type) => {
  it("stays when ours goes, and gets its own configuration back", async () => {
    const given = cases.find((each) => each.type === type);
    if (given === undefined) throw new Error("no case");
    const { host, context, resource } = world(given);
    const [path, name, service] =
      type === "chrony" ? [conf, "chrony", "chrony.service"] : [daemonFile, "docker.io", "docker.service"];
    await host.packages.install([name]);
    text(path, "their own")(host);
    await run(resource, context);
    for (let calls = 1; ; calls++) {
      host.crashAfter(calls);
      const crashed = await fails(() => bind(behaviours, resource).remove(context));
      host.recover();
      if (!crashed) break;
    }
    expect(host.packages.installed(name)).not.toBeNull();
    expect(host.files.read(path)).toBe("their own");
    expect(unit(host, service)).toMatchObject({ active: true, startedWith: "their own" });
    expect([...host.contents.keys()].filter((each) => each.startsWith(hostPaths.state))).toEqual([]);
  });
});

describe("docker-engine", () => {
  it("takes away the key that dockerd made for itself, but not that of one that was there before us", async () => {
    for (const before of [false, true]) {
      const given = cases.find(({ type }) => type === "docker-engine");
      if (given === undefined) throw new Error("no case");
      const { host, context, resource } = world(given);
      if (before) await host.packages.install(["docker.io"]);
      text("/etc/docker/key.json", "dockerd's")(host);
      await run(resource, context);
      await bind(behaviours, resource).remove(context);
      expect(host.files.read("/etc/docker/key.json") !== null).toBe(before);
    }
  });

  it("stays for somebody else's containers, and says so", async () => {
    const given = cases.find(({ type }) => type === "docker-engine");
    if (given === undefined) throw new Error("no case");
    const { host, context, resource } = world(given);
    await run(resource, context);
    host.imageIds.add("theirs");
    await host.docker.create("theirs", { ...foreign, image: "theirs" });
    const before = host.snapshot();
    host.volumes.add("data");
    expect(await bind(behaviours, resource).keeps(context)).toBe(
      "docker, for theirs, volume data of somebody else",
    );
    await bind(behaviours, resource).remove(context);
    const { files } = host.snapshot();
    expect({ ...host.snapshot(), files: before.files }).toEqual(before);
    expect(files[daemonFile]).toEqual(before.files[daemonFile]);
  });
});

describe("package", () => {
  it("keeps on removal what was there before it", async () => {
    const [given] = cases.filter(({ type }) => type === "package");
    if (given === undefined) throw new Error("no case");
    const { host, context, resource } = world(given);
    host.installed.set("jq", "1.6");
    await run(resource, context);
    await bind(behaviours, resource).remove(context);
    expect([...host.installed.keys()]).toEqual(["jq"]);
  });

  it("says which package the mirror lacks", async () => {
    const { context } = world(cases[0] as Case);
    const resource = resourceSchema.parse({ type: "package", name: "x", spec: { packages: ["nosuch"] } });
    await expect(run(resource, context)).rejects.toMatchObject({ code: "package_unavailable" });
  });
});

describe("apt-proxy", () => {
  const [given] = cases.filter(({ type }) => type === "apt-proxy");
  if (given === undefined) throw new Error("no case");

  it.each(["with space", "#comment", "", "tab\t", "ümlaut", "line\nmachine x"])(
    "refuses a password that apt cannot read, without saying it: %j",
    async (value) => {
      const { host, resource } = world(given);
      const error: unknown = await run(resource, contextOf(host, value)).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "spec_invalid" });
      if (value !== "") expect(JSON.stringify(error) + String(error)).not.toContain(value);
      expect([...host.contents.values()].some((file) => value !== "" && file.text.includes(value))).toBe(
        false,
      );
    },
  );

  it("rewrites the login when the password is rotated, and nothing else differs", async () => {
    const { host, context, resource } = world(given);
    await run(resource, context);
    expect(fields(await run(resource, contextOf(host, "another")))).toEqual(["login"]);
  });
});

describe("reboot", () => {
  it("tells the server before the host goes down, and never reboots twice for one order", async () => {
    const [given] = cases.filter(({ type }) => type === "reboot");
    if (given === undefined) throw new Error("no case");
    const { host, context, resource } = world(given);
    const told: number[] = [];
    const telling: Context = {
      ...context,
      goingDown: () => {
        told.push(host.mutations.length);
        return Promise.resolve();
      },
    };
    await run(resource, telling);
    await run(resource, telling);
    expect(told).toEqual([0]);
    expect(host.mutations).toEqual(["system.reboot"]);
  });
});

/** A container that was made by hand. */
const foreign = {
  command: ["sh"],
  user: "0:0",
  mounts: [],
  tmpfs: [],
  capabilities: [],
  environment: {},
  labels: {},
};

function world(given: Case): { host: FakeHost; context: Context; resource: Resource } {
  const host = new FakeHost();
  return { host, context: contextOf(host, password), resource: parsed(given, given.spec(host)) };
}

function contextOf(host: FakeHost, secret: string): Context {
  const reveal: Context["reveal"] = ({ secret: name, version }) =>
    name === "ring-key" ? ringKey(version) : secret;
  return { host, reveal, goingDown: () => Promise.resolve(), doing: () => undefined };
}

function parsed(given: Case, spec: unknown): Resource {
  return resourceSchema.parse({ type: given.type, name: given.name, spec });
}

async function run(resource: Resource, context: Context): Promise<readonly Change[]> {
  const { changes } = await converge(
    behaviours,
    resource,
    context,
    () => true,
    () => undefined,
  );
  return changes;
}

async function fails(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return false;
  } catch (error) {
    if (error instanceof Error && error.message === "crashed") return true;
    throw error;
  }
}

function fields(changes: readonly Change[]): string[] {
  return changes.map(({ field }) => field);
}

function text(path: string, content: string): (host: FakeHost) => void {
  return (host) => {
    host.contents.set(path, {
      ...(host.contents.get(path) ?? { mode: 0o644, owner: "root", group: "root" }),
      text: content,
    });
  };
}

function mode(path: string, bits: number): (host: FakeHost) => void {
  return (host) => host.contents.set(path, { ...file(host, path), mode: bits });
}

function owner(path: string): (host: FakeHost) => void {
  return (host) => host.contents.set(path, { ...file(host, path), owner: "nobody" });
}

function gone(path: string): (host: FakeHost) => void {
  return (host) => host.contents.delete(path);
}

function file(host: FakeHost, path: string): NonNullable<ReturnType<FakeHost["contents"]["get"]>> {
  const found = host.contents.get(path);
  if (found === undefined) throw new Error(`no ${path}`);
  return found;
}

function unit(host: FakeHost, name: string): NonNullable<ReturnType<FakeHost["unitStates"]["get"]>> {
  const found = host.unitStates.get(name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}
