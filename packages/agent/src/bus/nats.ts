import { jetstream, type ConsumerInfo } from "@nats-io/jetstream";
import {
  connect,
  headers,
  nkeyAuthenticator,
  type NatsConnection,
  type TlsOptions,
} from "@nats-io/transport-node";
import { natsTlsName, streams, subjects } from "@stackctl/protocol";
import type { AgentBus } from "./bus.ts";

export interface AgentBusOptions {
  readonly host: string;
  /** `tls://address:port` of every nats-server. */
  readonly servers: readonly string[];
  /** PEM. */
  readonly ca: string;
  /** NATS seed. */
  readonly seed: string;
  readonly log: (fields: Record<string, unknown>, message: string) => void;
}

/**
 * The agent's channels. Connects in the background, for ever if need be: an agent whose server is away begins its work all
 * the same and keeps its documents true.
 */
export function openAgentBus(options: AgentBusOptions): AgentBus {
  const { host, log } = options;
  let connection: NatsConnection | null = null;
  /** The client keeps what is published while it reconnects; lines of logs would fill its memory. */
  let isThere = false;
  let closed = false;
  const isClosed = (): boolean => closed;
  const handlers: {
    document: ((subject: string, bytes: Uint8Array) => void) | null;
    request: ((subject: string, bytes: Uint8Array) => void) | null;
    connected: (() => void) | null;
  } = { document: null, request: null, connected: null };

  const consume = async (opened: NatsConnection): Promise<void> => {
    const consumer = jetstream(opened, { checkAPI: false }).consumers.getConsumerFromInfo({
      stream_name: streams.documents,
      name: host,
      config: { ack_policy: "explicit", durable_name: host },
    } as ConsumerInfo);
    while (!isClosed()) {
      // Without `bind` the client asks for the consumer's description, which an agent may not, and stays deaf for good
      // after the server was restarted.
      const messages = await consumer.consume({
        bind: true,
        max_messages: 8,
        expires: 30_000,
        idle_heartbeat: 2000,
      });
      let missed = 0;
      void (async () => {
        for await (const status of messages.status()) {
          if (status.type === "heartbeats_missed" && ++missed >= 2) messages.stop();
        }
      })();
      for await (const message of messages) {
        missed = 0;
        try {
          handlers.document?.(message.subject, message.data);
          message.ack();
        } catch (error) {
          log({ err: error, subject: message.subject }, "document not kept, it comes again");
          message.nak(5000);
        }
      }
      if (!isClosed()) await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };

  const open = async (): Promise<void> => {
    const opened = await connect({
      servers: [...options.servers],
      name: host,
      // The client hands these on to node:tls; its type forgets `servername`, without which it would check an address.
      tls: { ca: options.ca, servername: natsTlsName } as TlsOptions,
      authenticator: nkeyAuthenticator(new TextEncoder().encode(options.seed)),
      inboxPrefix: subjects.agentInbox(host),
      reconnect: true,
      waitOnFirstConnect: true,
      maxReconnectAttempts: -1,
      // A revoked key is refused until somebody enrols the host again; then it must be let in without a restart.
      ignoreAuthErrorAbort: true,
      reconnectTimeWait: 250,
      reconnectJitter: 250,
      reconnectJitterTLS: 250,
      pingInterval: 5000,
      maxPingOut: 2,
      timeout: 5000,
    });
    if (isClosed()) {
      await opened.close();
      return;
    }
    connection = opened;
    opened.subscribe(subjects.request(host), {
      callback: (error, message) => {
        // Whatever carries headers is no request but a reply that somebody led here.
        if (error === null && message.headers === undefined)
          handlers.request?.(message.subject, message.data);
      },
    });
    void consume(opened).catch((error: unknown) => {
      log({ err: error }, "documents are not consumed any more");
    });
    handlers.connected?.();
    isThere = true;
    for await (const status of opened.status()) {
      if (status.type === "disconnect") isThere = false;
      if (status.type !== "reconnect") continue;
      isThere = true;
      handlers.connected?.();
    }
  };
  const keepOpen = async (): Promise<void> => {
    while (!isClosed()) {
      try {
        await open();
      } catch (error) {
        log({ why: error instanceof Error ? error.message : String(error) }, "not connected yet");
      }
      connection = null;
      isThere = false;
      if (!isClosed()) await new Promise((resolve) => setTimeout(resolve, 500 + Math.random() * 500));
    }
  };
  setImmediate(() => void keepOpen());

  return {
    onDocument: (handler) => {
      handlers.document = handler;
    },
    onRequest: (handler) => {
      handlers.request = handler;
    },
    onConnected: (handler) => {
      handlers.connected = handler;
    },
    sendResult: async (id, bytes) => {
      if (connection === null || connection.isClosed()) return false;
      const marks = headers();
      marks.set("Nats-Msg-Id", id);
      try {
        const reply = await connection.request(subjects.result(host), bytes, {
          timeout: 3000,
          headers: marks,
        });
        const answer = JSON.parse(new TextDecoder().decode(reply.data)) as { error?: unknown; seq?: unknown };
        return answer.error === undefined && typeof answer.seq === "number";
      } catch (error) {
        // Nobody there, or not yet: the event stays in the outbox and is sent again.
        log({ why: error instanceof Error ? error.message : String(error) }, "event not delivered yet");
        return false;
      }
    },
    sendStatus: (bytes) => {
      if (connection !== null && !connection.isClosed()) connection.publish(subjects.status(host), bytes);
    },
    sendLines: (bytes) => {
      if (connection === null || !isThere || connection.isClosed()) return false;
      connection.publish(subjects.logLines(host), bytes);
      return true;
    },
    close: async () => {
      closed = true;
      await connection?.close();
    },
  };
}
