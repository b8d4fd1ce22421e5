import { setTimeout as pause } from "node:timers/promises";
import {
  apiMethods,
  StackctlError,
  type ApiAnswer,
  type ApiMethod,
  type ApiRequest,
} from "@stackctl/protocol";
import type { ApiClient } from "./bus/nats.ts";
import { whileWaiting } from "./output/waiting.ts";
import { ensureServer, serverBundle } from "./server-process.ts";
import type { Place } from "./place.ts";

/** A server that this session talked to is back, or started again, within this; else the command ends. */
const healMs = 240_000;
/** One that it never reached is given this long, such as to end when it is just ending. */
const reachMs = 20_000;

/** Calls that go on over a server that was killed: reconnects, starts it again when it is dead, and asks again. */
export class Session {
  /** Hears what became of the server; a live drawing puts itself in between. */
  say: (text: string) => void;
  readonly #place: Place;
  readonly #bundle: string;
  #client: ApiClient | null = null;
  #reached = false;

  /** @param bundle the server's. @default the one built beside this command line's */
  constructor(place: Place, say: (text: string) => void, bundle: string = serverBundle) {
    this.#place = place;
    this.#bundle = bundle;
    this.say = say;
  }

  /**
   * One call; only for what may be asked twice when the answer was lost.
   * @param what is said when the answer takes longer than 2 s, such as `asking the hosts`; null: nothing is said
   * @throws StackctlError `usage` when the request is not of its form, what the server says, or `server_unreachable`
   */
  async call<M extends ApiMethod>(
    method: M,
    request: ApiRequest<M>,
    what: string | null,
    timeoutMs?: number,
  ): Promise<ApiAnswer<M>> {
    assertForm(method, request);
    const begunAt = Date.now();
    for (;;) {
      try {
        this.#client ??= await ensureServer({
          place: this.#place,
          bundle: this.#bundle,
          say: (text) => {
            this.say(text);
          },
        });
        const answer = this.#client.call(method, request, timeoutMs);
        this.#reached = true;
        return await (what === null ? answer : whileWaiting(what, answer));
      } catch (error) {
        // Locked: a server that is ending still holds its store, or another command line starts one right now.
        const heals =
          error instanceof StackctlError && ["server_unreachable", "store_locked"].includes(error.code);
        if (!heals || Date.now() > begunAt + (this.#reached ? healMs : reachMs)) throw error;
        if (this.#client !== null) this.say("the server does not answer, trying again");
        await this.close();
        await pause(200);
      }
    }
  }

  /** Ends the connection; the next call makes another one. */
  async close(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    await client?.close();
  }
}

/** Words that no server would take are told before one is started for them; never what was to be kept secret. */
function assertForm(method: ApiMethod, request: Readonly<Record<string, unknown>>): void {
  const parsed = apiMethods[method].request.safeParse(request);
  if (parsed.success) return;
  const key = String(parsed.error.issues[0]?.path[0] ?? "");
  const found = method === "secret-set" ? "" : ` ${JSON.stringify(request[key])}`;
  throw new StackctlError("usage", `${key}${found} is not of its form`, {
    details: { remedy: "see its form in: stackctl --help, and the names of hosts in: stackctl status" },
  });
}
