import { execFile, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { StackctlError } from "@stackctl/protocol";
import { writePrivately } from "../write-privately.ts";
import { renderNatsConfig } from "./config.ts";

const execute = promisify(execFile);

export interface NatsOptions {
  /** Path of the nats-server binary. */
  readonly binary: string;
  /** Folder for its configuration, keys, streams and log; made 0700. */
  readonly home: string;
  readonly address: string;
  readonly port: number;
  /** PEM. */
  readonly certificate: string;
  readonly key: string;
  readonly serverNkey: string;
  readonly operatorNkey: string;
  readonly agents: readonly { readonly host: string; readonly nkey: string }[];
  readonly log: (fields: Record<string, unknown>, message: string) => void;
}

/** nats-server under supervision: it is started again when it ends, and ends when the server does, however that is. */
export interface NatsProcess {
  /** Lets exactly these agents in. Others stay connected. */
  readonly reload: (agents: NatsOptions["agents"]) => Promise<void>;
  readonly stop: () => Promise<void>;
  readonly pid: () => number | null;
}

/**
 * Starts nats-server and returns once it answers.
 * @throws StackctlError `address_not_local`, `nats_start_failed`
 */
export async function startNats(options: NatsOptions): Promise<NatsProcess> {
  const { home, binary, address, port, log } = options;
  assertLocal(address);
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const configFile = join(home, "nats.conf");
  const logFile = join(home, "nats.log");
  const files = {
    storeDir: join(home, "jetstream"),
    certFile: join(home, "nats.pem"),
    keyFile: join(home, "nats.key"),
    logFile,
  };
  writePrivately(files.certFile, options.certificate);
  writePrivately(files.keyFile, options.key);

  /** Writes a configuration that nats-server itself has found good; a bad one never replaces a running one. */
  const configure = async (agents: NatsOptions["agents"]): Promise<void> => {
    const candidate = `${configFile}.candidate`;
    const text = renderNatsConfig({ ...options, ...files, agents });
    writePrivately(candidate, text);
    try {
      await execute(binary, ["-t", "-c", candidate], { timeout: 10_000 });
    } catch (cause) {
      throw new StackctlError("nats_start_failed", "nats-server refuses its configuration", {
        details: { found: tail(cause) },
        cause,
      });
    }
    writePrivately(configFile, text);
  };
  await configure(options.agents);
  if (await answers(address, port)) {
    throw new StackctlError("nats_start_failed", `${address}:${String(port)} is in use by another process`, {
      details: {
        expected: "a free port for nats-server",
        remedy: `end what listens there (ss -ltnp 'sport = ${String(port)}'), or set server.port in cloud.yaml`,
      },
    });
  }

  let child: ChildProcess | null = null;
  let stopping = false;
  let starts = 0;
  const start = (): void => {
    starts += 1;
    const begun = Date.now();
    // With the parent-death signal it never outlives a killed server, so the next one finds its port free.
    const started = spawn("setpriv", ["--pdeathsig", "KILL", "--", binary, "-c", configFile], {
      stdio: "ignore",
    });
    child = started;
    started.once("error", (error) => {
      log({ err: error }, "nats-server was not started");
    });
    started.once("exit", (code, signal) => {
      child = null;
      if (stopping) return;
      log({ code, signal, starts }, "nats-server ended and is started again");
      setTimeout(start, Date.now() - begun < 1000 ? 1000 : 50);
    });
  };
  start();
  const until = Date.now() + 10_000;
  while (!(await answers(address, port))) {
    if (Date.now() > until || starts > 3) {
      stopping = true;
      (child as ChildProcess | null)?.kill("SIGKILL");
      throw new StackctlError(
        "nats_start_failed",
        `nats-server does not answer at ${address}:${String(port)}`,
        {
          details: { found: lastLines(logFile), remedy: `look at ${logFile}` },
        },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  log({ address, port, pid: (child as ChildProcess | null)?.pid }, "nats-server ready");

  return {
    pid: () => child?.pid ?? null,
    reload: async (agents) => {
      await configure(agents);
      // The service imports of a new account stay dead until a second reload of the same file (2.10.27 and 2.15.1).
      for (let round = 0; round < 2; round++) {
        const before = reloads(logFile);
        child?.kill("SIGHUP");
        const deadline = Date.now() + 3000;
        while (child !== null && reloads(logFile) === before && Date.now() < deadline)
          await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    stop: async () => {
      stopping = true;
      const running = child;
      if (running === null) return;
      const ended = new Promise<void>((resolve) => {
        running.once("exit", () => {
          resolve();
        });
      });
      running.kill("SIGTERM");
      const timer = setTimeout(() => running.kill("SIGKILL"), 5000);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** @throws StackctlError `address_not_local` */
function assertLocal(address: string): void {
  const own = Object.values(networkInterfaces())
    .flat()
    .map((each) => each?.address);
  if (own.includes(address)) return;
  throw new StackctlError("address_not_local", `${address} is not an address of this machine`, {
    details: {
      expected: `one of ${own.filter((each) => each?.includes(".") === true).join(", ")}`,
      found: address,
      remedy: "set server.address in cloud.yaml, or bring the network up",
    },
  });
}

/** How often nats-server says in its log that it took a configuration in. */
function reloads(logFile: string): number {
  return existsSync(logFile)
    ? readFileSync(logFile, "utf8").split("Reloaded server configuration").length
    : 0;
}

function lastLines(file: string): string {
  return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n").slice(-3).join("\n") : "no log";
}

function tail(error: unknown): string {
  const stderr = error instanceof Error && "stderr" in error ? String(error.stderr) : String(error);
  return stderr.trim().split("\n").slice(-3).join("\n");
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 500 });
    const done = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => {
      done(true);
    });
    socket.once("error", () => {
      done(false);
    });
    socket.once("timeout", () => {
      done(false);
    });
  });
}
