import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  errorFromData,
  serverFile,
  StackctlError,
  type ErrorData,
  type ServerFile,
} from "@stackctl/protocol";
import { connectApi, type ApiClient } from "./bus/nats.ts";
import { whileWaiting } from "./output/waiting.ts";
import type { Place } from "./place.ts";

/** The server's bundle, built beside this one. */
export const serverBundle = join(dirname(fileURLToPath(import.meta.url)), "../../server/dist/main.js");
/** The first start fetches nats-server from Debian's mirror; the server itself gives up on that after 180 s. */
const startMs = 240_000;
/** nats-server is started again by the server within this, when it was killed. */
const reconnectMs = 10_000;
const stopMs = 15_000;

/** The server that a place's commands talk to, and how it is started. */
export interface ServerProcess {
  readonly place: Place;
  /** Its bundle; another one than that of the running server means that the server is started anew. */
  readonly bundle: string;
  /** Hears, in a short line, what was done to the server. */
  readonly say: (text: string) => void;
}

/**
 * What the server said of itself when it began to serve; null when none does.
 * @throws StackctlError `file_failed` when it may not be read
 */
export function readServerFile({ home }: Place): ServerFile | null {
  const file = join(home, "server.json");
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw notOurs(`${file} cannot be read`, error);
  }
  // A file of another version's form is as good as none: the start says so when that server still runs.
  const parsed = serverFile.safeParse(JSON.parse(text));
  return parsed.success && alive(parsed.data.pid) ? parsed.data : null;
}

/**
 * A connection with the server, which is started when none runs, and started anew when it is of another build.
 * @throws StackctlError `server_unreachable` when it runs and does not answer, `server_start_failed`, or what kept it
 *   from starting
 */
export async function ensureServer(server: ServerProcess): Promise<ApiClient> {
  const { place, say } = server;
  const running = readServerFile(place);
  if (running !== null) {
    const client = await connectPatiently(place, running);
    if (client !== null) {
      if (running.build === buildOf(server.bundle)) return client;
      say("the server is of another build and is started anew");
      await stopServer(client, running.pid);
    }
  }
  await startServer(server);
  const started = readServerFile(place);
  if (started === null) throw startFailed("the server started and ended again", place);
  return connectApi(started);
}

/**
 * Ends a server and waits until it is gone; agents keep their documents true.
 * @param client null when it does not answer: it gets a signal instead
 * @returns false when it has not ended in time
 */
export async function stopServer(client: ApiClient | null, pid: number): Promise<boolean> {
  if (client === null) process.kill(pid, "SIGTERM");
  else {
    await client.call("stop", {});
    await client.close();
  }
  const until = Date.now() + stopMs;
  while (alive(pid) && Date.now() < until) await pause(50);
  return !alive(pid);
}

/** Starts the server, detached, and returns once it serves. @throws StackctlError what kept it from starting */
async function startServer({ place, bundle, say }: ServerProcess): Promise<void> {
  // Said here, before a home is made beside a file that is not there.
  if (!existsSync(place.cloudFile))
    throw new StackctlError("cloud_missing", `there is no ${place.cloudFile}`, {
      details: { remedy: "make one with: stackctl init" },
    });
  needBundle(bundle);
  makeHome(place);
  const child = spawn(process.execPath, [bundle, "start", "--cloud", place.cloudFile, "--home", place.home], {
    detached: true,
    stdio: ["ignore", "ignore", "ignore", "pipe"],
    cwd: "/",
  });
  child.unref();
  const pipe = child.stdio[3];
  if (pipe === null || pipe === undefined || !("setEncoding" in pipe))
    throw new Error("the server was started without its pipe");
  const doing = { now: "starting the server" };
  const heard = async (): Promise<ErrorData | "ready" | "ended"> => {
    for await (const line of createInterface({ input: pipe })) {
      const message = JSON.parse(line) as { ready?: true; error?: ErrorData; progress?: string };
      if (message.ready === true) return "ready";
      if (message.error !== undefined) return message.error;
      if (message.progress !== undefined) doing.now = `starting the server: ${message.progress}`;
    }
    return "ended";
  };
  const outcome = await whileWaiting(
    () => doing.now,
    Promise.race([heard(), pause(startMs, "late" as const, { ref: false })]),
  );
  pipe.destroy();
  if (outcome === "ready") {
    say(`server started (pid ${String(child.pid)})`);
    return;
  }
  if (outcome === "ended") throw startFailed("the server ended while it started", place);
  if (outcome === "late") throw startFailed("the server did not start in time", place);
  // Two command lines may start it at once: one of them is too late, and the server is there.
  if (outcome.code === "store_locked" && readServerFile(place) !== null) return;
  throw errorFromData(outcome);
}

/** A connection with a server that runs; null when it ended meanwhile. @throws StackctlError `server_unreachable` */
async function connectPatiently(place: Place, running: ServerFile): Promise<ApiClient | null> {
  const until = Date.now() + reconnectMs;
  const attempt = async (): Promise<ApiClient | null> => {
    for (;;) {
      const file = readServerFile(place);
      if (file?.pid !== running.pid) return null;
      try {
        return await connectApi(file);
      } catch (error) {
        if (!(error instanceof StackctlError) || Date.now() > until) throw error;
        await pause(250);
      }
    }
  };
  return whileWaiting(`waiting for the server (pid ${String(running.pid)})`, attempt());
}

/** @throws StackctlError `file_failed` when the server is not built */
export function needBundle(bundle: string): void {
  if (existsSync(bundle)) return;
  throw new StackctlError("file_failed", `there is no ${bundle}`, {
    details: { remedy: "build stackctl with: npm run build" },
  });
}

function makeHome({ home }: Place): void {
  try {
    mkdirSync(home, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw notOurs(`${home} cannot be made`, error);
  }
}

function startFailed(message: string, { home }: Place): StackctlError {
  return new StackctlError("server_start_failed", message, {
    details: { remedy: `look at ${join(home, "server.log")}` },
  });
}

/** What the operating system refused, as the operator can mend it. */
function notOurs(what: string, cause: unknown): unknown {
  const code = codeOf(cause);
  if (code === null) return cause;
  return new StackctlError("file_failed", `${what}: ${code}`, {
    details: { remedy: "run it as the user who runs the server, or name another home with STACKCTL_HOME" },
    cause,
  });
}

/** What tells a server's bundle from another: its time and size. */
function buildOf(bundle: string): string {
  needBundle(bundle);
  const { mtimeMs, size } = statSync(bundle);
  return `${String(mtimeMs)}-${String(size)}`;
}

function alive(pid: number): boolean {
  try {
    // A pid may have been given to another process since.
    const words = readFileSync(`/proc/${String(pid)}/cmdline`, "utf8").split("\0");
    return words.includes("start") && words.includes("--home");
  } catch (error) {
    const code = codeOf(error);
    if (code === "ESRCH" || code === "ENOENT") return false;
    throw error;
  }
}

function codeOf(error: unknown): string | null {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : null;
}
