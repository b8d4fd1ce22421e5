import type { Cloud } from "../config/model.ts";
import { ringNames, type Ring, type RingName } from "../keys/rings.ts";

/** A small cloud for tests: one controller, one compute. */
export const exampleCloud: Cloud = {
  name: "demo",
  ssh: { user: "root", port: 22, privateKey: "/root/.ssh/id_ed25519", jumpHost: null },
  networks: {
    management: { cidr: "10.10.0.0/24", interface: "eth0", gateway: null, pool: null },
    public: { cidr: "192.168.2.0/24", interface: "eth1", gateway: "192.168.2.1", pool: null },
    data: { cidr: "10.10.1.0/24", interface: "eth2", gateway: null, pool: null },
  },
  vip: { management: "10.10.0.10", public: "192.168.2.10", virtualRouterId: 51 },
  hosts: [
    {
      name: "controller1",
      role: "controller",
      addresses: { management: "10.10.0.11", public: "192.168.2.11", data: "10.10.1.11" },
      vipPriority: 150,
      sshPort: 22,
      hostKey: null,
    },
    {
      name: "compute1",
      role: "compute",
      addresses: { management: "10.10.0.14", public: "192.168.2.14", data: "10.10.1.14" },
      vipPriority: null,
      sshPort: 22,
      hostKey: null,
    },
  ],
  packages: { mirror: null, securityMirror: null, proxy: null, proxyUser: null, noProxy: [] },
  registry: null,
  images: { base: null },
  time: { servers: ["ntp.example.org"] },
  reboot: "first-apply",
  absentAfterSeconds: 300,
  server: { address: null, port: 4222 },
};

/** The first generation of each ring of keys, for tests. */
export const exampleRings: ReadonlyMap<RingName, Ring> = new Map(
  ringNames.map((name) => [name, { generation: 1, keys: { 0: 2, 1: 1 } }]),
);
