import { execFile, spawn, type ChildProcess } from "node:child_process";
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  statSync,
} from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { StackctlError } from "@stackctl/protocol";
import { listens } from "../listens.ts";
import { writePrivately } from "../write-privately.ts";
import { renderNatsConfig, type NatsAgent } from "./config.ts";

const execute = promisify(execFile);

/** How long nats-server may take to answer after its start, and to take in a configuration. */
const readyMs = 10_000;
/** Pause before another start when the last one ended at once; otherwise it is started again without one. */
const backoffMs = 1000;

export interface NatsOptions {
  /** Path of the nats-server binary. */
  readonly binary: string;
  /** Folder for its configuration, keys, streams and log; made 0700. */
  readonly home: string;
  /** Address of this machine that agents reach it by. */
  readonly address: string;
  readonly port: number;
  /** PEM. */
  readonly certificate: string;
  readonly key: string;
  /** Public keys of the users. */
  readonly serverNkey: string;
  readonly operatorNkey: string;
  readonly agents: readonly NatsAgent[];
  readonly log: (fields: Record<string, unknown>, message: string) => void;
}

/** nats-server under supervision: it is started again when it ends, and ends when this process does, however that is. */
export interface NatsProcess {
  /**
   * Lets exactly these agents in, each with all its channels, when it returns. Others stay connected; who is left out is
   * cut off. Calls are done one after the other; a failed one leaves what was before.
   * @throws StackctlError `nats_start_failed` when nats-server does not take it; Error when a name may not be written
   */
  readonly reload: (agents: readonly NatsAgent[]) => Promise<void>;
  readonly stop: () => Promise<void>;
  /** Null while it is being started again. */
  readonly pid: () => number | null;
}

/**
 * Starts nats-server and returns once it answers.
 * @throws StackctlError `address_not_local`; `nats_start_failed` when the port is taken, it refuses its configuration or does not answer
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
  const configure = async (agents: readonly NatsAgent[]): Promise<void> => {
    const candidate = `${configFile}.candidate`;
    writePrivately(candidate, renderNatsConfig({ ...options, ...files, agents }));
    try {
      await execute(binary, ["-t", "-c", candidate], { timeout: readyMs });
    } catch (cause) {
      throw new StackctlError("nats_start_failed", "nats-server refuses its configuration", {
        details: { found: lastLines(String((cause as { stderr?: unknown }).stderr)) },
        cause,
      });
    }
    renameSync(candidate, configFile);
  };
  await configure(options.agents);
  // One that a killed server left behind is ending now.
  if (!(await holds(1000, async () => !(await listens(address, port))))) {
    throw new StackctlError("nats_start_failed", `${address}:${String(port)} is in use by another process`, {
      details: {
        expected: "a free port for nats-server",
        remedy: `end what listens there (ss -ltnp 'sport = :${String(port)}'), or set server.port in cloud.yaml`,
      },
    });
  }

  let child: ChildProcess | null = null;
  let timer: NodeJS.Timeout | null = null;
  let stopping = false;
  let starts = 0;
  const running = (): ChildProcess | null => child;
  const start = (): void => {
    timer = null;
    starts += 1;
    const begun = Date.now();
    const crashes = openSync(logFile, "a", 0o600);
    // With the parent-death signal (setpriv(1), util-linux) it never outlives a killed server, so the next one finds its
    // port free. It is told nothing by the environment, and what it says when it crashes ends in its log.
    const started = spawn("setpriv", ["--pdeathsig", "KILL", "--", binary, "-c", configFile], {
      stdio: ["ignore", "ignore", crashes],
      env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" },
    });
    closeSync(crashes);
    child = started;
    const ended = (why: Record<string, unknown>): void => {
      if (child !== started) return;
      child = null;
      if (stopping) return;
      log({ ...why, starts }, "nats-server ended and is started again");
      timer = setTimeout(start, Date.now() - begun < backoffMs ? backoffMs : 0);
    };
    started.once("error", (err) => {
      ended({ err });
    });
    started.once("exit", (code, signal) => {
      ended({ code, signal });
    });
  };
  const stop = async (): Promise<void> => {
    stopping = true;
    if (timer !== null) clearTimeout(timer);
    const last = running();
    if (last === null) return;
    last.kill("SIGTERM");
    const kill = setTimeout(() => last.kill("SIGKILL"), 5000);
    await holds(readyMs, () => running() === null);
    clearTimeout(kill);
  };

  start();
  if (!(await holds(readyMs, async () => starts > 3 || (await listens(address, port)))) || starts > 3) {
    await stop();
    throw new StackctlError(
      "nats_start_failed",
      `nats-server does not answer at ${address}:${String(port)}`,
      { details: { found: lastLines(readFrom(logFile, 0)), remedy: `look at ${logFile}` } },
    );
  }
  log({ address, port, pid: running()?.pid }, "nats-server ready");

  const reload = async (agents: readonly NatsAgent[]): Promise<void> => {
    await configure(agents);
    // The service imports of a new account stay dead until a second reload of the same file (2.10.27 and 2.15.1).
    for (let round = 0; round < 2; round++) {
      const signalled = running();
      if (signalled === null) break; // it is started with the new file
      const from = existsSync(logFile) ? statSync(logFile).size : 0;
      signalled.kill("SIGHUP");
      let said = "";
      const taken = await holds(readyMs, () => {
        said = readFrom(logFile, from);
        return /Reloaded server configuration|Failed to reload/.test(said) || running() !== signalled;
      });
      if (!taken || said.includes("Failed to reload")) {
        throw new StackctlError("nats_start_failed", "nats-server did not take its new configuration", {
          details: { found: lastLines(said), remedy: `look at ${logFile}` },
        });
      }
    }
    await holds(readyMs, () => listens(address, port));
  };
  let reloading: Promise<unknown> = Promise.resolve();
  return {
    pid: () => running()?.pid ?? null,
    reload: (agents) => {
      const mine = reloading.then(() => reload(agents));
      // Who waits for the next one is not to hear of this one's failure.
      reloading = mine.catch(() => undefined);
      return mine;
    },
    stop,
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

/** Waits until the condition holds. @returns false when it did not within `timeoutMs` */
async function holds(timeoutMs: number, condition: () => boolean | Promise<boolean>): Promise<boolean> {
  const until = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > until) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}

/** The log from a position on; from its beginning when it was begun anew meanwhile. */
function readFrom(file: string, position: number): string {
  if (!existsSync(file)) return "";
  const descriptor = openSync(file, "r");
  try {
    const { size } = fstatSync(descriptor);
    const from = size < position ? 0 : position;
    const bytes = Buffer.alloc(size - from);
    return bytes.toString("utf8", 0, readSync(descriptor, bytes, 0, bytes.length, from));
  } finally {
    closeSync(descriptor);
  }
}

function lastLines(said: string): string {
  return said.trim().split("\n").slice(-3).join("\n");
}
