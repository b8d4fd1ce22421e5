import type { AgentEvent, AgentRequest } from "@stackctl/protocol";
import { StackctlError } from "@stackctl/protocol";

/** Signs a request for a host and gives its bytes and id. */
export type SignRequest = (
  host: string,
  request: AgentRequest,
) => { readonly requestId: string; readonly bytes: Uint8Array };

type Answered = Extract<AgentEvent, { type: "request.answered" }>;

interface Waiting {
  readonly host: string;
  readonly pieces: Map<number, string>;
  readonly resolve: (body: unknown) => void;
}

/** Asks agents now. The question is a signed request, the answer comes back as events, in pieces. */
export class Questions {
  readonly #sign: SignRequest;
  readonly #send: (host: string, bytes: Uint8Array) => Promise<"delivered" | "offline">;
  readonly #waiting = new Map<string, Waiting>();

  constructor(
    sign: SignRequest,
    send: (host: string, bytes: Uint8Array) => Promise<"delivered" | "offline">,
  ) {
    this.#sign = sign;
    this.#send = send;
  }

  /**
   * The agent's answer, still to be parsed strictly by the caller.
   * @throws StackctlError `agent_unreachable` when the agent is not connected or says nothing in time
   */
  async ask(host: string, request: AgentRequest, timeoutMs: number): Promise<unknown> {
    const { requestId, bytes } = this.#sign(host, request);
    const answer = new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(unreachable(host, `it did not answer within ${String(timeoutMs / 1000)} s`));
      }, timeoutMs);
      this.#waiting.set(requestId, {
        host,
        pieces: new Map(),
        resolve: (body) => {
          clearTimeout(timer);
          resolve(body);
        },
      });
      this.#send(host, bytes).then(
        (sent) => {
          if (sent === "delivered") return;
          clearTimeout(timer);
          reject(unreachable(host, "it is not connected"));
        },
        (error: unknown) => {
          clearTimeout(timer);
          reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
    try {
      return await answer;
    } finally {
      this.#waiting.delete(requestId);
    }
  }

  /** Takes in a piece of an answer; only the host that was asked may answer. */
  answered(host: string, event: Answered): void {
    const waiting = this.#waiting.get(event.requestId);
    if (waiting === undefined || waiting.host !== host) return;
    waiting.pieces.set(event.piece, event.body);
    if (waiting.pieces.size < event.pieces) return;
    const text = [...waiting.pieces]
      .sort(([a], [b]) => a - b)
      .map(([, body]) => body)
      .join("");
    waiting.resolve(JSON.parse(text));
  }
}

function unreachable(host: string, why: string): StackctlError {
  return new StackctlError("agent_unreachable", `the agent on ${host} was asked: ${why}`, {
    retryable: true,
    details: { host, remedy: "stackctl status" },
  });
}
