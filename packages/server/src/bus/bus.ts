/**
 * The server's side of the channels. `nats.ts` is the only file here that imports the NATS client.
 * Nothing is parsed or trusted here: bytes go in and out, the checks are in `trust/`.
 */
export interface Bus {
  /** Puts a document where its agent finds it, now or when it returns. Resolves once JetStream has it on disk. */
  publishDocument(host: string, service: string, bytes: Uint8Array): Promise<void>;
  /** Hands a request to the agent if it is connected; its answer comes as an event. */
  request(host: string, bytes: Uint8Array): Promise<"delivered" | "offline">;
  /** Makes or keeps the agent's durable consumer. `fresh`: made anew, so that everything is delivered again. */
  ensureConsumer(host: string, fresh: boolean): Promise<void>;
  /** Takes the consumer of a host away, and everything that was kept for it or from it; safe to repeat. */
  forgetHost(host: string): Promise<void>;
  /** Every kept event, in order, each again until the handler resolves. */
  onResult(handler: (host: string, bytes: Uint8Array) => Promise<void>): Promise<void>;
  /** Heartbeats; a lost one is not sent again. */
  onStatus(handler: (host: string, bytes: Uint8Array) => void): void;
  /** Lines of logs; lost ones are not sent again. */
  onLines(handler: (host: string, bytes: Uint8Array) => void): void;
  /** Calls of the command line. The handler's bytes are the reply. */
  onCall(handler: (method: string, bytes: Uint8Array) => Promise<Uint8Array>): void;
  close(): Promise<void>;
}
