import { parseCloud } from "../config/load.ts";
import type { LoadedCloud } from "../config/model.ts";

/** A small cloud's file for tests that look at its lines: one controller, one compute, a proxy that asks for a password. */
export function exampleFile(more = ""): LoadedCloud {
  return parseCloud(
    `cloud: demo
networks:
  management: { cidr: 10.10.0.0/24, interface: eth0 }
  public: { cidr: 192.168.2.0/24, interface: eth1 }
  data: { cidr: 10.10.1.0/24, interface: eth2 }
vip: { management: 10.10.0.10, public: 192.168.2.10 }
hosts:
  controller1:
    role: controller
    address: 10.10.0.11
  compute1:
    role: compute
    address: 10.10.0.14
packages:
  proxy: http://lab@10.10.0.1:3128
${more}`,
    "/etc/stackctl/cloud.yaml",
  );
}
