import type {
  ApplyResult,
  HostRemoval,
  EventView,
  PlanResult,
  PreflightRow,
  RunView,
  StatusResult,
} from "@stackctl/protocol";
import { StackctlError } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import { renderDrift } from "./drift.ts";
import { renderError } from "./errors.ts";
import { renderEvent, renderWhy } from "./event.ts";
import { renderHold, renderRelease } from "./hold.ts";
import { renderPlan } from "./plan.ts";
import { renderPreflight } from "./preflight.ts";
import { renderRemoval } from "./removal.ts";
import { renderEnd, renderEntry, renderRun } from "./run.ts";
import { renderStatus } from "./status.ts";

process.env["TZ"] = "UTC";
process.env["NO_COLOR"] = "1";
const now = Date.parse("2026-01-02T14:20:40.000Z");

type AppliedService = ApplyResult["hosts"][number]["services"][number];
type HostStatus = StatusResult["hosts"][number];
const host = (name: string, more: Partial<HostStatus> = {}): HostStatus => ({
  name,
  role: name.startsWith("controller") ? "controller" : "compute",
  state: "ok",
  since: "2026-01-02T14:00:00.000Z",
  agentVersion: "0.1.0",
  agentRelease: "0.1.0-0123abcd",
  bootedAt: "2026-01-02T10:20:40.000Z",
  documents: { good: 3, all: 3 },
  drift: [],
  kept: [],
  doing: null,
  ...more,
});
const status = (more: Partial<StatusResult>): StatusResult => ({
  outcome: "green",
  cloud: "demo",
  problems: [],
  hosts: [host("controller1"), host("compute1")],
  clusters: {},
  keys: {},
  holds: [],
  run: { id: 3, state: "done", outcome: "unchanged", at: "2026-01-02T14:19:00.000Z" },
  ...more,
});

describe("status", () => {
  it("takes no attention when all is green", () => {
    expect(renderStatus(status({}), now)).toMatchInlineSnapshot(`
      "demo: green                                                                                 14:20:40

      host         role        agent  docs  drift  since boot
      controller1  controller  ok     3/3   -      4 h 0 m
      compute1     compute     ok     3/3   -      4 h 0 m

      run 3 unchanged at 14:19:00"
    `);
  });

  it("says of keys which generation they are and on how many hosts they are equal", () => {
    const ring = { generation: 118, equal: 3, all: 3, other: [] };
    expect(renderStatus(status({ keys: { fernet: ring } }), now).split("\n")).toContain(
      "keys       fernet generation 118, equal on 3/3",
    );
  });

  it("names what is off first, and what to type last", () => {
    const off = {
      host: "compute1",
      text: "compute1 is off since 14:02:11",
      remedy: "power it on, it is completed by itself",
    };
    const hosts = [
      host("controller1"),
      host("compute1", {
        state: "absent",
        since: "2026-01-02T14:02:11.000Z",
        documents: { good: 0, all: 3 },
      }),
    ];
    expect(renderStatus(status({ outcome: "degraded", problems: [off], hosts }), now)).toMatchInlineSnapshot(`
      "demo: DEGRADED  compute1 is off since 14:02:11                                              14:20:40

      host         role        agent  docs  drift  since boot
      controller1  controller  ok     3/3   -      4 h 0 m
      compute1     compute     OFF    0/3   ?      -           since 14:02:11 (18 m 29 s)

      run 3 unchanged at 14:19:00

      compute1 is off since 14:02:11: power it on, it is completed by itself"
    `);
  });

  it("keeps a row in its line, whatever drifts and whatever a host says", () => {
    const many = Array.from({ length: 9 }, (_, index) => `file/etc-${String(index)}`);
    const text = renderStatus(
      status({ outcome: "degraded", hosts: [host("compute1", { drift: many, doing: "one\ntwo" })] }),
      now,
    );
    expect(text).toMatchInlineSnapshot(`
      "demo: DEGRADED                                                                              14:20:40

      host      role     agent  docs  drift                           since boot
      compute1  compute  ok     3/3   file/etc-0 file/etc-1 file/...  4 h 0 m     one; two

      run 3 unchanged at 14:19:00"
    `);
  });
});

describe("holds", () => {
  const hold = {
    target: "chrony@compute1",
    host: "compute1",
    service: "chrony",
    why: "checking a disk",
    by: "root",
    until: "2026-01-02T16:00:00.000Z",
  };

  it("stand in status, green as it is", () => {
    expect(renderStatus(status({ holds: [hold] }), now).split("\n")).toContain(
      'held: chrony@compute1, "checking a disk", until 16:00:00 (root)',
    );
  });

  it("say what they mean, how to end them, and who does not know yet", () => {
    expect(renderHold(hold, ["compute1"], now)).toMatchInlineSnapshot(`
      "held: chrony@compute1, "checking a disk", until 16:00:00 (root)
      Not told yet: compute1; the server goes on trying until the agent is there.
      Neither runs nor repairs touch it until then; drift is still reported. End it with: stackctl release chrony@compute1"
    `);
    expect(renderRelease(hold, [])).toMatchInlineSnapshot(
      `"chrony@compute1 is held no more: drift is put back, and what a run left out is done now."`,
    );
  });
});

describe("plan", () => {
  const plan = (more: Partial<PlanResult>): PlanResult => ({
    hash: "7c1e0f22",
    totals: { changes: 0, hosts: 0, restarts: 0 },
    services: [],
    ...more,
  });

  it("says that there is nothing to do", () => {
    expect(renderPlan(plan({}), [])).toBe("Nothing to do.");
  });

  it("shows only the lines of a file that differ, with their line of cloud.yaml, and what is restarted", () => {
    const resources = [
      {
        id: "chrony/chrony",
        outcome: "planned" as const,
        changes: [
          {
            field: "content",
            from: "# head\nserver a iburst\nrtcsync\n",
            to: "# head\nserver b iburst\nrtcsync\n",
          },
        ],
        restarts: ["restart chrony.service"],
      },
    ];
    const one = (name: string): PlanResult["services"][number]["hosts"][number] => ({
      host: name,
      state: "known",
      resources,
      origins: { "chrony/chrony": "cloud.yaml:23" },
    });
    expect(
      renderPlan(
        plan({
          totals: { changes: 2, hosts: 2, restarts: 2 },
          services: [{ service: "chrony", hosts: [one("controller1"), one("controller2")] }],
        }),
        [],
      ),
    ).toMatchInlineSnapshot(`
      "chrony  controller1, controller2
        ~ chrony/chrony content      (cloud.yaml:23)
            - server a iburst
            + server b iburst
        ! restart chrony.service

      2 changes on 2 hosts, 2 restarts, expected API outage: none. No instance is touched.
      Plan 7c1e0f22. Apply exactly this with: stackctl apply aio --plan 7c1e0f22"
    `);
  });
});

describe("a plan's promise", () => {
  const one = (
    more: Partial<PlanResult["services"][number]["hosts"][number]>,
  ): PlanResult["services"][number]["hosts"][number] => ({
    host: "compute1",
    state: "known",
    resources: [],
    origins: {},
    ...more,
  });
  const planOf = (...hosts: PlanResult["services"][number]["hosts"]): PlanResult => ({
    hash: "7c1e0f22",
    totals: { changes: 1, hosts: 1, restarts: 0 },
    services: [{ service: "host", hosts }],
  });
  const change = (from: string | null, to: string | null): PlanResult["services"][number]["hosts"][number] =>
    one({
      resources: [
        {
          id: "file/a",
          outcome: "planned",
          changes: [{ field: "content", from, to }],
          restarts: [],
        },
      ],
    });

  it("is none for a host that is restarted", () => {
    const resources = [
      {
        id: "reboot/first-apply",
        outcome: "planned" as const,
        changes: [{ field: "booted", from: false, to: true }],
        restarts: ["reboot"],
      },
    ];
    const text = renderPlan(planOf(one({ resources })), []);
    expect(text).toContain("Rebooted: compute1.");
    expect(text).not.toContain("outage: none");
  });

  it("is none for hosts that nobody has asked yet", () => {
    const text = renderPlan(
      planOf(
        one({
          state: "new",
          resources: [{ id: "file/a", outcome: "planned", changes: [], restarts: [] }],
          origins: { "file/a": "cloud.yaml:9" },
        }),
        one({ host: "compute2", state: "unreachable" }),
      ),
      ["compute"],
    );
    expect(text).toMatchInlineSnapshot(`
      "host  compute1
        + file/a      (cloud.yaml:9)

      host  compute2
        ? not reached, so not compared

      1 change on 1 host, 0 restarts.
      Set up for the first time, and restarted once unless cloud.yaml says reboot: never: compute1.
      Not reached, so not compared: compute2. Look with: stackctl status
      Plan 7c1e0f22. Apply exactly this with: stackctl apply compute --plan 7c1e0f22"
    `);
  });

  it("shows of a digest as much as tells it from another", () => {
    expect(renderPlan(planOf(change("a".repeat(64), `b${"a".repeat(63)}`)), [])).toContain(
      "file/a content  aaaaaaaaaaaaaaaa... -> baaaaaaaaaaaaaaa...\n",
    );
  });

  it("shows a line that is there once more, a file that goes, and lines in another order", () => {
    expect(renderPlan(planOf(change("a\n", "a\na\n")), [])).toContain("      + a\n");
    expect(renderPlan(planOf(change("a\nb\n", null)), [])).toContain("      - a\n      - b\n");
    expect(renderPlan(planOf(change("a\nb\n", "b\na\n")), [])).toContain("only the order of its lines");
  });
});

describe("a run", () => {
  const run: RunView = {
    id: 12,
    cloud: "demo",
    scope: "aio",
    cause: { kind: "run", text: "by root" },
    state: "running",
    startedAt: "2026-01-02T14:16:09.000Z",
    steps: [
      {
        service: "enrol",
        hosts: [
          { host: "controller1", state: "changed", seconds: 4.2 },
          {
            host: "compute1",
            state: "waiting",
            doing:
              "compute1 (10.10.0.14:22) has no route: is it on, and on this network?; waiting for it, the others go on",
            since: "2026-01-02T14:16:12.000Z",
          },
        ],
      },
      {
        service: "chrony",
        hosts: [
          {
            host: "controller1",
            state: "running",
            doing: "installing chrony",
            since: "2026-01-02T14:20:38.000Z",
          },
          { host: "compute1", state: "pending" },
        ],
      },
    ],
  };

  it("shows each step and what each host does or waits for", () => {
    expect(renderRun(run, now)).toMatchInlineSnapshot(`
      "run 12  demo, 2 hosts                                                         4 m 31 s
        enrol   waits    1/2
        chrony  running  0/2
        compute1      compute1 (10.10.0.14:22) has no route: is it on, and on this network?; waiting for it, the others go on  4 m 28 s
        controller1   installing chrony
      Ctrl-C leaves the run going; come back with: stackctl runs attach 12"
    `);
  });

  it("ends with one sentence, the time of each phase and what to do next", () => {
    const done: RunView = {
      ...run,
      state: "done",
      steps: [
        {
          service: "enrol",
          hosts: [
            { host: "controller1", state: "changed", seconds: 4.2 },
            { host: "compute1", state: "skipped", seconds: 60, doing: "absent" },
          ],
        },
        {
          service: "chrony",
          hosts: [
            {
              host: "controller1",
              state: "failed",
              seconds: 72,
              doing: "chrony/chrony: the proxy refuses the password",
            },
          ],
        },
      ],
    };
    const result = {
      runId: 12,
      outcome: "failed" as const,
      seconds: 76.2,
      totals: { unchanged: 3, changed: 2, skipped: 2, failed: 1 },
      hosts: [
        {
          name: "controller1",
          outcome: "failed" as const,
          why: "x",
          services: [
            {
              name: "chrony",
              outcome: "failed" as const,
              why: "chrony/chrony: the proxy refuses the password; stackctl secret set packages-proxy-password",
              resources: [],
            },
          ],
        },
        {
          name: "compute1",
          outcome: "skipped" as const,
          why: "absent: compute1 is off since 14:16:12",
          services: [],
        },
      ],
    };
    expect(renderEnd(done, result)).toMatchInlineSnapshot(`
      "run 12 FAILED in 1 m 16 s: 2 changed, 3 unchanged, 2 skipped, 1 failed, compute1 absent.
      phases: enrol 1 m 0 s, chrony 1 m 12 s
      controller1  chrony failed: chrony/chrony: the proxy refuses the password; stackctl secret set packages-proxy-password
      compute1 is completed by itself when it returns.
      Try again with: stackctl apply controller1"
    `);
  });
});

describe("a run that is done", () => {
  const result: ApplyResult = {
    runId: 12,
    outcome: "changed",
    seconds: 1024,
    totals: { unchanged: 96, changed: 412, skipped: 0, failed: 0 },
    hosts: [{ name: "controller1", outcome: "changed", services: [] }],
  };
  const run: RunView = {
    id: 12,
    cloud: "demo",
    scope: "aio",
    cause: { kind: "run", text: "by root" },
    state: "done",
    startedAt: "2026-01-02T14:16:09.000Z",
    steps: [{ service: "chrony", hosts: [{ host: "controller1", state: "changed", seconds: 72 }] }],
  };

  it("is one sentence, its phases, and what is next", () => {
    expect(renderEnd(run, result)).toMatchInlineSnapshot(`
      "run 12 done in 17 m 4 s: 412 changed, 96 unchanged.
      phases: chrony 1 m 12 s
      Next: stackctl status"
    `);
  });

  it("is one line for each thing that happened, in a pipe", () => {
    const entry = {
      n: 4,
      at: "2026-01-02T14:16:09.000Z",
      host: "controller1",
      service: "chrony",
      type: "step.failed",
      text: "chrony/chrony: apt says:\n  E: no space",
    };
    expect(renderEntry(entry)).toMatchInlineSnapshot(
      `"14:16:09 controller1 chrony step.failed chrony/chrony: apt says: E: no space"`,
    );
    expect(renderEntry({ ...entry, host: null, service: null, type: "run.done", text: "done" })).toBe(
      "14:16:09 - - run.done done",
    );
  });
});

describe("a removal", () => {
  const removal: HostRemoval = {
    host: "compute2",
    there: true,
    since: "2026-01-02T14:00:00.000Z",
    services: [
      { service: "docker", resources: [{ id: "docker-engine/docker", why: "removed" }] },
      {
        service: "data",
        resources: [{ id: "directory/data", why: "removed, kept: /var/lib/stackctl/data" }],
      },
      { service: "host", resources: [] },
    ],
    secrets: ["packages-proxy-password"],
  };

  it("says what will be lost, and what stays", () => {
    expect(renderRemoval(removal, now)).toMatchInlineSnapshot(`
      "compute2 leaves the cloud for good. This is taken away there, then its agent:
        docker  docker-engine/docker
        data    directory/data
      This stays, because it is data, or of somebody else:
        directory/data kept: /var/lib/stackctl/data"
    `);
  });

  it("of a host that is off says what stays on its disk, and what that knows", () => {
    expect(renderRemoval({ ...removal, there: false }, now)).toMatchInlineSnapshot(`
      "compute2 does not answer since 14:00:00. Once it counts as absent it is forgotten as it is; on its disk stays:
        docker  docker-engine/docker
        data    directory/data
      It knows packages-proxy-password: give those a new value.
      Should it ever return, it is let in no more."
    `);
  });

  const step = (name: string, outcome: "changed" | "skipped" | "failed", why?: string): AppliedService => ({
    name,
    outcome,
    ...(why === undefined ? {} : { why }),
    resources:
      name === "data" ? [{ id: "directory/data", outcome: "kept", why: "kept: /var/lib/stackctl/data" }] : [],
  });
  const ended = (services: readonly AppliedService[], failed: number): string =>
    renderEnd(
      {
        id: 7,
        cloud: "demo",
        scope: ["compute2"],
        cause: { kind: "removal", text: "removal by root" },
        state: "done",
        startedAt: "2026-01-02T14:20:00.000Z",
        steps: [],
      },
      {
        runId: 7,
        outcome: failed > 0 ? "failed" : "changed",
        seconds: 12,
        totals: { changed: 3, unchanged: 1, skipped: 0, failed },
        hosts: [{ name: "compute2", outcome: failed > 0 ? "failed" : "changed", services: [...services] }],
      },
    );

  it("ends with what is kept and what is next", () => {
    expect(ended([step("data", "changed"), step("forget", "changed")], 0)).toMatchInlineSnapshot(`
      "run 7 done in 12 s: 3 changed, 1 unchanged.
      phases: 
      compute2  directory/data kept: /var/lib/stackctl/data
      compute2 is removed.
      Next, so that the others forget its name: stackctl apply aio"
    `);
  });

  it("that did not come to its end is told again", () => {
    const text = ended([step("docker", "failed", "no room"), step("forget", "skipped", "docker failed")], 1);
    expect(text.split("\n").at(-1)).toBe(
      "compute2 is not removed. Try again with: stackctl host remove compute2",
    );
    expect(text).not.toContain("stackctl apply");
  });

  it("shows in a plan what goes and what of it stays, and in status what is kept", () => {
    const resource = { id: "directory/data", outcome: "planned", changes: [], restarts: [] } as const;
    const text = renderPlan(
      {
        hash: "7c1e",
        totals: { changes: 1, hosts: 1, restarts: 0 },
        services: [
          {
            service: "data",
            hosts: [
              {
                host: "compute1",
                state: "known",
                resources: [{ ...resource, changes: [], restarts: [], why: "removed, kept: /srv/data" }],
                origins: {},
              },
            ],
          },
        ],
      },
      [],
    );
    expect(text.split("\n")[1]).toBe("  - directory/data  kept: /srv/data");
    const hosts = [host("controller1", { kept: ["directory/data: /srv/data"] })];
    expect(renderStatus(status({ hosts }), now)).toContain(
      "controller1 keeps directory/data: /srv/data; it left the cloud and is yours to remove",
    );
  });
});

describe("preflight", () => {
  const row = (host: string, more: Partial<PreflightRow> = {}): PreflightRow => ({
    host,
    role: "controller",
    via: "ssh",
    ssh: "ok",
    os: "debian 12",
    cores: 16,
    memoryMiB: 65_536,
    diskMiB: 1_887_436,
    disks: { empty: 1, all: 3 },
    nics: "3/3",
    kvm: "-",
    clockSeconds: 0.2,
    time: "chrony",
    packages: "ok",
    problems: [],
    ...more,
  });

  it("says what to type when all is well", () => {
    expect(
      renderPreflight([
        row("controller1"),
        row("compute1", { via: "agent", kvm: "yes, vmx", clockSeconds: -0.1 }),
      ]),
    ).toMatchInlineSnapshot(`
      "             ssh    os         cpu  mem     free    disks  nics  kvm  clock   time    apt
      controller1  ok     debian 12  16   64 GiB  1.8 TB  1/3    3/3   -    +0.2 s  chrony  ok
      compute1     agent  debian 12  16   64 GiB  1.8 TB  1/3    3/3   vmx  -0.1 s  chrony  ok

      All is well. Next: stackctl apply aio"
    `);
  });

  it("fits into 100 columns, whatever the name and the figures", () => {
    const wide = {
      ssh: "ok",
      via: "agent" as const,
      cores: 192,
      memoryMiB: 900 * 1024,
      kvm: "yes, by /dev/kvm",
      disks: { empty: 11, all: 24 },
      clockSeconds: -86_400.5,
      time: "timesyncd",
      packages: "FAIL",
    };
    const text = renderPreflight([
      row("a-host-with-a-name-of-32-letters", wide),
      row("b", { kvm: "no: none" }),
    ]);
    expect(
      Math.max(
        ...text
          .split("\n")
          .slice(0, 3)
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(100);
  });

  it("names each problem with its remedy", () => {
    const nothing = { os: null, cores: null, memoryMiB: null, diskMiB: null, nics: null };
    const problems = [
      {
        severity: "error" as const,
        text: "controller3: the key offered is not the one seen before",
        remedy: "If the machine was reinstalled: stackctl host forget-key controller3",
      },
    ];
    expect(
      renderPreflight([
        row("controller1"),
        row("controller3", { ...nothing, ssh: "FAIL", clockSeconds: null, packages: null, problems }),
      ]),
    ).toMatchInlineSnapshot(`
      "             ssh   os         cpu  mem     free    disks  nics  kvm  clock   time    apt
      controller1  ok    debian 12  16   64 GiB  1.8 TB  1/3    3/3   -    +0.2 s  chrony  ok
      controller3  FAIL

      controller3: the key offered is not the one seen before. If the machine was reinstalled: stackctl host forget-key controller3
      1 problem, 0 warnings."
    `);
  });
});

describe("history", () => {
  const event = (more: Partial<EventView>): EventView => ({
    n: 7,
    at: "2026-01-02T14:11:02.000Z",
    host: "controller2",
    service: "chrony",
    resource: "chrony/chrony",
    type: "resource.changed",
    text: "run 12, cloud.yaml:24, by root",
    ...more,
  });

  it("is one line for each event, with the date when it was not today", () => {
    expect(renderEvent(event({}), now)).toBe(
      "14:11:02 controller2  resource.changed   chrony/chrony run 12, cloud.yaml:24, by root",
    );
    expect(
      renderEvent(event({ at: "2026-01-01T23:00:00.000Z", host: null, resource: null, text: "a\nb" }), now),
    ).toBe("2026-01-01T23:00:00 -            resource.changed   a; b");
  });

  it("tells what changed one thing, and what for", () => {
    expect(renderWhy("chrony/chrony@controller2", [event({}), event({ type: "resource.repaired" })], now))
      .toMatchInlineSnapshot(`
      "14:11:02  changed    run 12, cloud.yaml:24, by root
      14:11:02  repaired   run 12, cloud.yaml:24, by root"
    `);
    expect(renderWhy("chrony/chrony@compute1", [], now)).toBe("chrony/chrony@compute1 was never changed.");
  });

  it("of drift says since when, and what to type", () => {
    const one = {
      host: "compute1",
      resource: "chrony/chrony",
      since: "2026-01-02T14:19:58.000Z",
      text: "active yes -> no",
      repair: "stackctl repair compute1 chrony/chrony",
    };
    expect(renderDrift([one], now)).toMatchInlineSnapshot(
      `"compute1  chrony/chrony  since 14:19:58  active yes -> no; stackctl repair compute1 chrony/chrony"`,
    );
    expect(renderDrift([], now)).toBe("No drift.");
  });
});

describe("errors", () => {
  it("list every mistake with its place, then the count", () => {
    const mistakes = [
      {
        file: "cloud.yaml",
        line: 15,
        column: 43,
        path: "hosts.controller2.address",
        message: "10.10.0.300 is not an IPv4 address",
      },
      {
        file: "cloud.yaml",
        line: 19,
        column: 5,
        path: "hosts.compute2.rol",
        message: 'unknown key; did you mean "role"?',
      },
    ];
    expect(
      renderError(
        new StackctlError("cloud_invalid", "2 mistakes, nothing was touched.", { details: { mistakes } }),
      ),
    ).toMatchInlineSnapshot(`
      {
        "exitCode": 1,
        "text": "cloud.yaml:15:43  hosts.controller2.address  10.10.0.300 is not an IPv4 address
      cloud.yaml:19:5   hosts.compute2.rol         unknown key; did you mean "role"?
      2 mistakes, nothing was touched.",
      }
    `);
  });

  it("end with what to type, and tell a wrong word from a failure", () => {
    const failed = new StackctlError(
      "host_key_changed",
      "compute1: host key changed (SHA256:b, was SHA256:a)",
      {
        details: {
          expected: "SHA256:a",
          found: "SHA256:b",
          remedy: "if the machine was reinstalled: stackctl host forget-key compute1",
        },
      },
    );
    expect(renderError(failed)).toMatchInlineSnapshot(`
      {
        "exitCode": 1,
        "text": "compute1: host key changed (SHA256:b, was SHA256:a)
      if the machine was reinstalled: stackctl host forget-key compute1",
      }
    `);
    expect(renderError(new StackctlError("usage", "apply what?")).exitCode).toBe(2);
  });

  it("call a bug a bug, with its stack", () => {
    const { text, exitCode } = renderError(new TypeError("x is not a function"));
    expect(exitCode).toBe(70);
    expect(text).toContain("please report it");
    expect(text).toContain("output.test.ts");
  });
});
