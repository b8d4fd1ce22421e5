import { describe, expect, it } from "vitest";
import { exampleFile } from "../testing/example-file.ts";
import { configOf } from "./show.ts";

const shown = (more = ""): Record<string, string> =>
  Object.fromEntries(
    configOf(exampleFile(more)).values.map(({ key, value, origin }) => [
      key,
      `${JSON.stringify(value)} ${origin}`,
    ]),
  );

describe("configOf", () => {
  it("fills in every default, and says of each value where it is from", () => {
    expect(shown()).toMatchInlineSnapshot(`
      {
        "absentAfter": ""5m" default",
        "cloud": ""demo" cloud.yaml:1",
        "hosts.compute1.address": ""10.10.0.14" cloud.yaml:13",
        "hosts.compute1.data": ""10.10.1.14" default",
        "hosts.compute1.hostKey": "null default",
        "hosts.compute1.public": ""192.168.2.14" default",
        "hosts.compute1.role": ""compute" cloud.yaml:12",
        "hosts.compute1.sshPort": "22 default",
        "hosts.controller1.address": ""10.10.0.11" cloud.yaml:10",
        "hosts.controller1.data": ""10.10.1.11" default",
        "hosts.controller1.hostKey": "null default",
        "hosts.controller1.public": ""192.168.2.11" default",
        "hosts.controller1.role": ""controller" cloud.yaml:9",
        "hosts.controller1.sshPort": "22 default",
        "hosts.controller1.vipPriority": "150 default",
        "images.base": "null default",
        "networks.data.cidr": ""10.10.1.0/24" cloud.yaml:5",
        "networks.data.gateway": "null default",
        "networks.data.interface": ""eth2" cloud.yaml:5",
        "networks.data.pool": "null default",
        "networks.management.cidr": ""10.10.0.0/24" cloud.yaml:3",
        "networks.management.gateway": "null default",
        "networks.management.interface": ""eth0" cloud.yaml:3",
        "networks.management.pool": "null default",
        "networks.public.cidr": ""192.168.2.0/24" cloud.yaml:4",
        "networks.public.gateway": "null default",
        "networks.public.interface": ""eth1" cloud.yaml:4",
        "networks.public.pool": "null default",
        "packages.mirror": "null default",
        "packages.noProxy": "[] default",
        "packages.proxy": ""http://lab@10.10.0.1:3128" cloud.yaml:15",
        "packages.securityMirror": "null default",
        "reboot": ""first-apply" default",
        "registry": "null default",
        "server.address": "null default",
        "server.port": "4222 default",
        "ssh.jumpHost": "null default",
        "ssh.port": "22 default",
        "ssh.privateKey": "null default",
        "ssh.user": ""root" default",
        "time.servers": "["0.debian.pool.ntp.org","1.debian.pool.ntp.org"] default",
        "vip.management": ""10.10.0.10" cloud.yaml:6",
        "vip.public": ""192.168.2.10" cloud.yaml:6",
        "vip.virtualRouterId": "51 default",
      }
    `);
  });

  it("takes what is written for written, also when it is what would be the default", () => {
    expect(shown("absentAfter: 5m\ntime: { servers: [ntp.example.org] }\n")).toMatchObject({
      absentAfter: '"5m" cloud.yaml:16',
      "time.servers": '["ntp.example.org"] cloud.yaml:17',
    });
  });
});
