import { randomBytes } from "node:crypto";
import { StackctlError, type EnrolmentOrder } from "@stackctl/protocol";
import { enrolHost, restartAgent, upgradeAgent } from "../bootstrap/enrol.ts";
import { sshFacts } from "../bootstrap/facts.ts";
import { judge } from "../bootstrap/preflight.ts";
import type { Runtime } from "../bootstrap/runtime.ts";
import type { Logins } from "../bootstrap/logins.ts";
import type { SshSession } from "../bootstrap/ssh.ts";
import type { Cloud, CloudHost } from "../config/model.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Store } from "../store/store.ts";
import type { Upgrades } from "./upgrades.ts";
import { untilNews } from "../until-news.ts";

/** How long a known agent may be silent before it is looked after over SSH. */
const graceMs = 15_000;
/** Pause between two tries to reach a host that is off. */
const retryMs = 5000;

export interface EnrollerOptions {
  readonly store: Store;
  readonly logins: Logins;
  readonly fleet: Fleet;
  /** Knows the release that is pushed, and brings agents that are connected to it. */
  readonly upgrades: Pick<Upgrades, "bring" | "over" | "running" | "wanted">;
  /** What every new agent is told, beside its own name. */
  readonly trust: Pick<EnrolmentOrder, "cluster" | "servers" | "ca" | "documentKeys" | "epochFloor">;
  /** Lets the agent in: nats-server's accounts, its consumer, its heartbeats. */
  readonly admit: (host: string) => Promise<void>;
  /** True when the agent answers right now, whatever its last heartbeat said. */
  readonly answers: (host: string) => Promise<boolean>;
}

/** How a chain follows what enrolment does. */
export interface EnrolReport {
  readonly run: number;
  readonly say: (doing: string) => void;
  /** The host is away; said with what is being waited for. */
  readonly waiting: (why: string) => void;
  /** Makes the error that means: left out because it is away. */
  readonly absent: (why: string) => Error;
  /** Until when to wait for a host that is away, Unix milliseconds. */
  readonly deadlineMs: number;
  readonly stopped: () => boolean;
}

/** Sees to it that a host has the agent, in this version, enrolled with this cloud and connected. */
export class Enroller {
  readonly #options: EnrollerOptions;

  constructor(options: EnrollerOptions) {
    this.#options = options;
  }

  /**
   * Safe to repeat from any point: the host answers the same keys for the same incarnation.
   * @throws StackctlError one of the codes of `bootstrap/`, or what `report.absent` makes
   */
  async ensure(host: CloudHost, cloud: Cloud, report: EnrolReport): Promise<"unchanged" | "changed"> {
    const { store, fleet } = this.#options;
    const known = store.agent(host.name);
    // A run that was killed after it had done this has changed it all the same.
    const asItWas = known?.run === report.run ? "changed" : "unchanged";
    const { upgrades } = this.#options;
    const all = cloud.hosts.filter(({ name }) => store.run(report.run)?.hosts.includes(name) === true);
    await upgrades.over(host.name, report.say);
    // A heartbeat may be ten seconds old; whether the agent is there is known only by asking.
    if (
      known !== null &&
      fleet.presence(host.name)?.state === "ok" &&
      !(await this.#options.answers(host.name))
    ) {
      fleet.lost(host.name);
    }
    // An agent that does not say what it runs is from before releases came over NATS.
    const isOld = (): boolean => known !== null && upgrades.running(host.name) === null;
    if (known !== null && (await this.#connected(host.name, graceMs, report)) && !isOld()) {
      const brought = await upgrades.bring(host, all, report.run, report.say);
      return brought === "changed" ? brought : asItWas;
    }

    const session = await this.#reach(host, cloud, report);
    if (session === null) return asItWas;
    try {
      for (const { pinName, fingerprint } of session.keys) {
        if (store.pin(pinName) === null)
          store.decide("server", { type: "host.pinned", host: pinName, fingerprint });
      }
      const runtime = await upgrades.wanted();
      if (known !== null) {
        const { release } = runtime;
        if (isOld() && fleet.presence(host.name)?.state === "ok") {
          report.say("upgrading the agent");
          await upgradeAgent(session, runtime, report.say);
          store.decide("server", { type: "host.pushed", host: host.name, release, run: report.run });
          return "changed";
        }
        report.say("starting the agent");
        if (await restartAgent(session)) {
          store.decide("server", {
            type: "host.pushed",
            host: host.name,
            release: known.release,
            run: report.run,
          });
          fleet.add(host.name, null, 0);
          if (await this.#connected(host.name, graceMs, report)) {
            if (!isOld()) await upgrades.bring(host, all, report.run, report.say);
            return "changed";
          }
        }
      }
      await this.#enrol(host, cloud, session, runtime, report);
      return "changed";
    } finally {
      session.close();
    }
  }

  /** A session with the host, waiting for it while it is off; null when its agent came back meanwhile. */
  async #reach(host: CloudHost, cloud: Cloud, report: EnrolReport): Promise<SshSession | null> {
    const { logins, fleet } = this.#options;
    for (;;) {
      report.say("connecting over ssh");
      try {
        return await logins.connect(host, cloud);
      } catch (error) {
        if (!(error instanceof StackctlError) || error.code !== "ssh_unreachable") throw error;
        const presence = fleet.presence(host.name);
        if (report.stopped() || presence?.state === "absent" || Date.now() + retryMs > report.deadlineMs)
          throw report.absent(error.message);
        report.waiting(`${error.message}; waiting for it, the others go on`);
        if (presence !== null && (await this.#connected(host.name, retryMs, report))) return null;
        if (presence === null) await pause(retryMs);
      }
    }
  }

  async #enrol(
    host: CloudHost,
    cloud: Cloud,
    session: SshSession,
    runtime: Runtime,
    report: EnrolReport,
  ): Promise<void> {
    const { store, trust, admit } = this.#options;
    const known = store.agent(host.name);
    report.say("looking at the host");
    const row = judge(host, cloud, {
      facts: await sshFacts(session, []),
      packagesProblem: null,
      serverTimeMs: Date.now(),
      via: "ssh",
      cluster: trust.cluster,
    });
    const problem = row.problems.find(({ severity }) => severity === "error");
    if (problem !== undefined) {
      throw new StackctlError("preflight_failed", problem.text, {
        details: { host: host.name, remedy: problem.remedy },
      });
    }
    const answer = await enrolHost({
      session,
      runtime,
      onProgress: report.say,
      order: {
        ...trust,
        host: host.name,
        incarnation: store.lastIncarnation(host.name) + 1,
        challenge: randomBytes(32).toString("base64"),
      },
    });
    // The order for the first restart comes before the enrolment is recorded: killed in between, both are done again.
    if (known === null && cloud.reboot === "first-apply") {
      store.decide("server", { type: "reboot.ordered", host: host.name, notBootId: answer.bootId });
    }
    store.decide("server", {
      type: "host.enrolled",
      host: host.name,
      incarnation: answer.incarnation,
      nkey: answer.nkey,
      eventKey: answer.eventKey,
      sealKey: answer.sealKey,
      release: runtime.release,
      bootId: answer.bootId,
      run: report.run,
    });
    report.say("letting the agent in");
    await admit(host.name);
    if (!(await this.#connected(host.name, 30_000, report))) {
      throw new StackctlError(
        "agent_unreachable",
        `the agent on ${host.name} was started but does not connect to ${trust.servers.join(", ")}`,
        {
          retryable: true,
          details: {
            host: host.name,
            remedy: `look at it with: journalctl -u stackctl-agent on ${host.name}; is ${trust.servers.join(", ")} open from there?`,
          },
        },
      );
    }
  }

  /** Waits for the agent to be heard, at most this long. */
  async #connected(host: string, waitMs: number, report: EnrolReport): Promise<boolean> {
    const { fleet } = this.#options;
    const until = Date.now() + waitMs;
    for (;;) {
      const presence = fleet.presence(host);
      if (presence?.state === "ok") return true;
      const left = until - Date.now();
      if (left <= 0 || presence === null || presence.state === "absent" || report.stopped()) return false;
      report.say(`waiting for the agent`);
      await untilNews((heard) => fleet.onNews(host, heard), left);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
