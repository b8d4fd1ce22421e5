import type { ConfigView, RenderView, RunListRow } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import { renderConfig } from "./config.ts";
import { renderRender } from "./render.ts";
import { renderRuns } from "./runs.ts";
import { width } from "./text.ts";
import { originText } from "./value.ts";

process.env["TZ"] = "UTC";
process.env["NO_COLOR"] = "1";
const now = Date.parse("2026-01-02T14:20:40.000Z");

describe("config show", () => {
  const view: ConfigView = {
    cloud: "demo",
    file: "/etc/stackctl/cloud.yaml",
    values: [
      { key: "cloud", value: "demo", origin: "cloud.yaml:1" },
      { key: "ssh.port", value: 22, origin: "default" },
      { key: "networks.data.pool", value: null, origin: "default" },
      { key: "time.servers", value: ["ntp1.example.org", "ntp2.example.org"], origin: "cloud.yaml:9" },
    ],
  };

  it("says how much of it was written, then every value with its line", () => {
    expect(renderConfig(view)).toMatchInlineSnapshot(`
      "demo, as /etc/stackctl/cloud.yaml says it: 2 values of it, 2 by default

      cloud               demo                                (cloud.yaml:1)
      ssh.port            22                                  (default)
      networks.data.pool  none                                (default)
      time.servers        ntp1.example.org, ntp2.example.org  (cloud.yaml:9)"
    `);
  });

  it("cuts nothing off and keeps to the width, however long a value is", () => {
    const servers = Array.from({ length: 12 }, (_, index) => `ntp${String(index)}.somewhere.example.org`);
    const text = renderConfig({
      ...view,
      values: [
        ...view.values,
        { key: "time.servers", value: servers, origin: "cloud.yaml:9" },
        { key: "ssh.privateKey", value: "k".repeat(250), origin: "cloud.yaml:2" },
      ],
    });
    for (const server of servers) expect(text).toContain(server);
    expect(text.match(/k/g)?.length).toBeGreaterThanOrEqual(250);
    expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(width);
  });
});

describe("render", () => {
  const view: RenderView = {
    host: "controller1",
    role: "controller",
    services: [
      {
        service: "host",
        needs: [],
        waits: null,
        digest: "d",
        resources: [
          {
            id: "apt-proxy/proxy",
            origin: "cloud.yaml:22",
            values: [
              { field: "url", value: "http://10.10.0.1:3128", origins: ["cloud.yaml:22"] },
              {
                field: "login.password",
                value: "secret packages-proxy-password version 1",
                origins: ["vault"],
              },
              {
                field: "direct",
                value: ["localhost", "controller1"],
                origins: ["cloud.yaml:18", "cloud.yaml:2", "cloud.yaml:17"],
              },
            ],
          },
          {
            id: "file/registry-config.yml",
            origin: "cloud.yaml:18",
            values: [
              { field: "content", value: "version: 0.1\nlog:\n  level: info\n", origins: ["cloud.yaml:18"] },
              { field: "owner", value: 0, origins: ["default"] },
              { field: "mounts", value: [], origins: ["default"] },
            ],
          },
        ],
      },
      {
        service: "memcached",
        needs: ["host", "docker"],
        waits: "image memcached is not built yet",
        digest: null,
        resources: [],
      },
      { service: "gone", needs: [], waits: null, digest: "d", resources: [] },
    ],
  };

  it("shows each service with its resources, values and lines, what waits and what leaves", () => {
    expect(renderRender(view)).toMatchInlineSnapshot(`
      "controller1 (controller): 3 services, 2 resources, 1 waiting

      host
        apt-proxy/proxy  (cloud.yaml:22)
          url             http://10.10.0.1:3128                     (cloud.yaml:22)
          login.password  secret packages-proxy-password version 1  (vault)
          direct          localhost, controller1                    (cloud.yaml:2, 17-18)
        file/registry-config.yml  (cloud.yaml:18)
          content  (cloud.yaml:18)
            | version: 0.1
            | log:
            |   level: info
          owner    0     (default)
          mounts   none  (default)

      memcached  after host, docker
        waits: image memcached is not built yet

      gone
        leaves the host: what it made there is taken away"
    `);
  });
});

describe("runs", () => {
  const run = (more: Partial<RunListRow>): RunListRow => ({
    id: 12,
    startedAt: "2026-01-02T14:02:11.000Z",
    scope: "aio",
    cause: { kind: "run", text: "by root" },
    state: "done",
    outcome: "changed",
    seconds: 72,
    totals: { unchanged: 96, changed: 412, skipped: 0, failed: 0 },
    ...more,
  });

  it("lists one a line, the one that is under way with how long it takes so far", () => {
    const text = renderRuns(
      [
        run({
          id: 14,
          state: "running",
          outcome: null,
          seconds: null,
          startedAt: "2026-01-02T14:20:10.000Z",
        }),
        run({
          id: 13,
          scope: ["compute1", "compute2", "compute3"],
          outcome: "failed",
          startedAt: "2026-01-01T09:00:00.000Z",
          cause: { kind: "return", text: "compute1 returned after a long while" },
          totals: { unchanged: 1, changed: 0, skipped: 2, failed: 3 },
        }),
        run({}),
      ],
      now,
    );
    expect(text).toMatchInlineSnapshot(`
      "run  began                scope    outcome    took      changed  same  skip  fail
      14   14:20:10             aio      under way  30 s      412      96    -     -     by root
      13   2026-01-01T09:00:00  3 hosts  FAILED     1 m 12 s  -        1     2     3     compute1 retur...
      12   14:02:11             aio      changed    1 m 12 s  412      96    -     -     by root"
    `);
    expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(width);
  });

  it("says what to type when there was none", () => {
    expect(renderRuns([], now)).toBe("There was no run yet. Begin with: stackctl apply aio");
  });
});

describe("originText", () => {
  it("joins lines that follow each other, once each and in their order", () => {
    expect(originText(["cloud.yaml:20", "cloud.yaml:9", "cloud.yaml:21", "cloud.yaml:22", "vault"])).toBe(
      "cloud.yaml:9, 20-22, vault",
    );
  });
});
