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
  type ApiAnswer,
  type ApiMethod,
  type ApiRequest,
  type ErrorData,
  type ServerFile,
} from "@stackctl/protocol";
import { connectApi, type ApiClient } from "./bus/nats.ts";
import type { Place } from "./place.ts";

/** The server's bundle, built beside this one. */
export const serverBundle = join(dirname(fileURLToPath(import.meta.url)), "../../server/dist/main.js");
/** The first start fetches nats-server; that may take this long. */
const startMs = 240_000;

/** What the server said of itself when it began to serve; null when none does. */
export function readServerFile({ home }: Place): ServerFile | null {
  const file = join(home, "server.json");
  if (!existsSync(file)) return null;
  const parsed = serverFile.safeParse(JSON.parse(readFileSync(file, "utf8")));
  if (!parsed.success || !alive(parsed.data.pid)) return null;
  return parsed.data;
}

/** A connection with the server, which is started when none runs; `say` hears of that. */
export async function ensureServer(place: Place, say: (text: string) => void): Promise<ApiClient> {
  const running = readServerFile(place);
  if (running !== null) {
    try {
      const client = await connectApi(running);
      if (running.build === buildOf(serverBundle)) return client;
      say("the server is of another build and is started anew");
      await stopServer(client, running.pid);
      await startServer(place, say);
      const renewed = readServerFile(place);
      return await connectApi(renewed ?? running);
    } catch (error) {
      // It may be going down, or its nats-server is just being started again.
      await pause(500);
      const again = readServerFile(place);
      if (again !== null && again.pid === running.pid) return retryConnect(place, error);
    }
  }
  await startServer(place, say);
  const started = readServerFile(place);
  if (started === null)
    throw new StackctlError("server_start_failed", "the server started and ended again", {
      details: { remedy: `look at ${join(place.home, "server.log")}` },
    });
  return connectApi(started);
}

/** Ends a server and waits until it is gone; agents keep their documents true. @returns false when it has not ended in time */
export async function stopServer(client: ApiClient, pid: number): Promise<boolean> {
  await client.call("stop", {});
  await client.close();
  const until = Date.now() + 15_000;
  while (alive(pid) && Date.now() < until) await pause(50);
  return !alive(pid);
}

/** Starts the server, detached, and returns once it serves. @throws StackctlError what kept it from starting */
export async function startServer(place: Place, say: (text: string) => void): Promise<void> {
  mkdirSync(place.home, { recursive: true, mode: 0o700 });
  const child = spawn(
    process.execPath,
    [serverBundle, "start", "--cloud", place.cloudFile, "--home", place.home],
    {
      detached: true,
      stdio: ["ignore", "ignore", "ignore", "pipe"],
      cwd: "/",
    },
  );
  child.unref();
  const pipe = child.stdio[3];
  if (pipe === null || pipe === undefined || !("setEncoding" in pipe))
    throw new Error("the server was started without its pipe");
  const outcome = await Promise.race([
    (async (): Promise<ErrorData | "ready" | "ended"> => {
      for await (const line of createInterface({ input: pipe })) {
        const message = JSON.parse(line) as { ready?: true; error?: ErrorData; progress?: string };
        if (message.ready === true) return "ready";
        if (message.error !== undefined) return message.error;
        if (message.progress !== undefined && message.progress !== "looking for nats-server")
          say(message.progress);
      }
      return "ended";
    })(),
    pause(startMs, "late" as const, { ref: false }),
  ]);
  pipe.destroy();
  if (outcome === "ready") {
    say(`server started (pid ${String(child.pid)})`);
    return;
  }
  if (outcome === "ended" || outcome === "late") {
    throw new StackctlError(
      "server_start_failed",
      outcome === "late" ? "the server did not start in time" : "the server ended while it started",
      {
        details: { remedy: `look at ${join(place.home, "server.log")}` },
      },
    );
  }
  // Two command lines may start it at once: one of them is too late, and the server is there.
  if (outcome.code === "store_locked" && readServerFile(place) !== null) return;
  throw errorFromData(outcome);
}

/** Calls that go on over a server that was killed: reconnects, starts it again when it is dead, and asks again. */
export class Session {
  readonly #place: Place;
  readonly #say: (text: string) => void;
  #client: ApiClient | null = null;

  constructor(place: Place, say: (text: string) => void) {
    this.#place = place;
    this.#say = say;
  }

  /** One call; only for what may be asked twice when the answer was lost. */
  async call<M extends ApiMethod>(
    method: M,
    request: ApiRequest<M>,
    timeoutMs?: number,
  ): Promise<ApiAnswer<M>> {
    const until = Date.now() + startMs;
    for (;;) {
      try {
        this.#client ??= await ensureServer(this.#place, this.#say);
        return await this.#client.call(method, request, timeoutMs);
      } catch (error) {
        if (
          !(error instanceof StackctlError) ||
          !["server_unreachable", "store_locked"].includes(error.code) ||
          Date.now() > until
        )
          throw error;
        await this.close();
        await pause(200);
      }
    }
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    await client?.close();
  }
}

async function retryConnect(place: Place, error: unknown): Promise<ApiClient> {
  const until = Date.now() + 10_000;
  for (;;) {
    const file = readServerFile(place);
    if (file === null || Date.now() > until) throw error;
    try {
      return await connectApi(file);
    } catch (again) {
      if (!(again instanceof StackctlError)) throw again;
      await pause(250);
    }
  }
}

/** What tells a server's bundle from another: its time and size. */
function buildOf(bundle: string): string {
  const { mtimeMs, size } = statSync(bundle);
  return `${String(mtimeMs)}-${String(size)}`;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A pid may have been given to another process since.
    return readFileSync(`/proc/${String(pid)}/cmdline`, "utf8").includes("start");
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ESRCH" || error.code === "ENOENT"))
      return false;
    throw error;
  }
}
