import {
  jetstream,
  JetStreamApiCodes,
  JetStreamApiError,
  jetstreamManager,
  type ConsumerConfig,
  type ConsumerMessages,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
  type StreamConfig,
} from "@nats-io/jetstream";
import {
  connect,
  errors,
  nkeyAuthenticator,
  type NatsConnection,
  type TlsOptions,
} from "@nats-io/transport-node";
import {
  errorData,
  maxMessageBytes,
  natsTlsName,
  StackctlError,
  streams,
  subjects,
} from "@stackctl/protocol";
import type { Bus } from "./bus.ts";

export interface BusOptions {
  /** `tls://address:port`. */
  readonly url: string;
  /** PEM. */
  readonly ca: string;
  /** NATS seed of the server's user. */
  readonly seed: string;
}

/** How long one call to JetStream may take. */
const callMs = 5000;
/** How long what must not be lost is tried again while nats-server is away. */
const persistMs = 30_000;
/** nats-server says within a few milliseconds that nobody listens to a subject; this much also under load. */
const offlineMs = 200;
/** nats-server takes 512 KB at once; the rest is for the subject and the headers. */
const maxReplyBytes = 500 * 1024;
const eventsConsumer = "server";
const away = "nats-server is away";
const seconds = 1e9;

const documentStream: Partial<StreamConfig> & { readonly name: string } = {
  name: streams.documents,
  subjects: [subjects.document("*", "*")],
  // Only the newest of a service counts, also for a host that was away for many of them.
  max_msgs_per_subject: 1,
  discard: "old",
  max_msg_size: maxMessageBytes,
  storage: "file",
  deny_delete: true,
};

const eventStream: Partial<StreamConfig> & { readonly name: string } = {
  name: streams.events,
  subjects: [subjects.result("*")],
  max_msgs_per_subject: 5000,
  // Half of what the account may store: however much agents say, documents still find room.
  max_bytes: 512 * 1024 * 1024,
  max_age: 7 * 86_400 * seconds,
  // An id is remembered for the whole stream, so that one agent could use up another's before it does. Nothing needs
  // it: events carry a number. This is the least that nats-server takes.
  duplicate_window: 0.1 * seconds,
  discard: "old",
  max_msg_size: maxMessageBytes,
  storage: "file",
};

/** One at a time: an event that comes again must not be overtaken, because its number would then be too low. */
const eventConsumer = {
  durable_name: eventsConsumer,
  ack_policy: "explicit",
  deliver_policy: "all",
  ack_wait: 3 * seconds,
  max_ack_pending: 1,
} as const;

/**
 * The server's connection. Streams and consumers are made sure of whenever the connection comes, so that a lost store
 * costs nothing but a second delivery of documents.
 * @throws StackctlError `nats_start_failed` when nats-server does not let it in
 */
export async function connectBus(options: BusOptions): Promise<Bus> {
  let connection: NatsConnection | null = null;
  try {
    connection = await connect({
      servers: [options.url],
      name: "server",
      // The client hands these on to node:tls; its type forgets `servername`, without which it would check an address.
      tls: { ca: options.ca, servername: natsTlsName } as TlsOptions,
      authenticator: nkeyAuthenticator(new TextEncoder().encode(options.seed)),
      inboxPrefix: subjects.serverInbox,
      reconnect: true,
      maxReconnectAttempts: -1,
      // A machine under load may be too slow to authenticate in time, twice even; that must not end the connection for good.
      ignoreAuthErrorAbort: true,
      reconnectTimeWait: 250,
      reconnectJitter: 100,
      reconnectJitterTLS: 100,
      pingInterval: 5000,
      maxPingOut: 2,
      timeout: callMs,
    });
    const manager = await jetstreamManager(connection, { timeout: callMs });
    const bus = new NatsBus(connection, manager, jetstream(connection, { timeout: callMs }));
    await bus.prepare();
    return bus;
  } catch (cause) {
    await connection?.close();
    throw new StackctlError("nats_start_failed", `nats-server at ${options.url} does not serve the server`, {
      details: { found: textOf(cause), remedy: "look at nats/nats.log in the server's home" },
      cause,
    });
  }
}

class NatsBus implements Bus {
  readonly #connection: NatsConnection;
  readonly #manager: JetStreamManager;
  readonly #client: JetStreamClient;
  /** Who has a consumer; it is made again when the store was lost. */
  readonly #hosts = new Set<string>();
  #messages: ConsumerMessages | null = null;
  #closed = false;
  /** Resolves while nats-server is there with all that belongs into it. */
  #ready = Promise.withResolvers<undefined>();
  /** What ends the calls that are under way when the connection goes: they are not answered any more. */
  readonly #underWay = new Set<() => void>();

  constructor(connection: NatsConnection, manager: JetStreamManager, client: JetStreamClient) {
    this.#connection = connection;
    this.#manager = manager;
    this.#client = client;
    this.#ready.resolve(undefined);
    void this.#follow();
  }

  /** Makes the streams and the server's consumer as they have to be. */
  async prepare(): Promise<void> {
    for (const stream of [documentStream, eventStream]) await this.#ensureStream(stream);
    await this.#ensureConsumer(streams.events, eventConsumer);
  }

  async publishDocument(host: string, service: string, bytes: Uint8Array): Promise<void> {
    await this.#persist(`the document of ${service} for ${host} is not stored`, () =>
      this.#client.publish(subjects.document(host, service), bytes, { timeout: callMs }),
    );
  }

  async request(host: string, bytes: Uint8Array): Promise<"delivered" | "offline"> {
    try {
      await this.#whileReady(callMs);
      await this.#connection.request(subjects.request(host), bytes, { timeout: offlineMs });
    } catch (error) {
      if (error instanceof errors.TimeoutError) return "delivered";
      if (error instanceof errors.RequestError && error.isNoResponders()) return "offline";
      throw new StackctlError("nats_unavailable", `the request for ${host} was not sent: ${textOf(error)}`, {
        retryable: true,
        details: { host },
        cause: error,
      });
    }
    // Agents may not answer here, and do not; whatever did, somebody listens.
    return "delivered";
  }

  async ensureConsumer(host: string, fresh: boolean): Promise<void> {
    this.#hosts.add(host);
    let anew = fresh;
    await this.#persist(`the consumer of ${host} is not made`, async () => {
      if (anew) await absent(this.#manager.consumers.delete(streams.documents, host));
      anew = false;
      await this.#ensureConsumer(streams.documents, documentConsumer(host));
    });
  }

  async forgetHost(host: string): Promise<void> {
    this.#hosts.delete(host);
    await this.#persist(`what was kept of ${host} is not taken away`, async () => {
      await absent(this.#manager.consumers.delete(streams.documents, host));
      await this.#manager.streams.purge(streams.documents, { filter: subjects.document(host, "*") });
      await this.#manager.streams.purge(streams.events, { filter: subjects.result(host) });
    });
  }

  onResult(handler: (host: string, bytes: Uint8Array) => Promise<void>): Promise<void> {
    void this.#consume(handler);
    return Promise.resolve();
  }

  onStatus(handler: (host: string, bytes: Uint8Array) => void): void {
    this.#connection.subscribe(subjects.status("*"), {
      callback: (error, message) => {
        if (error === null) handler(hostOf(message.subject), message.data);
      },
    });
  }

  onLines(handler: (host: string, bytes: Uint8Array) => void): void {
    this.#connection.subscribe(subjects.logLines("*"), {
      callback: (error, message) => {
        if (error === null) handler(hostOf(message.subject), message.data);
      },
    });
  }

  onCall(handler: (method: string, bytes: Uint8Array) => Promise<Uint8Array>): void {
    const prefix = subjects.api("");
    this.#connection.subscribe(subjects.api("*"), {
      callback: (error, message) => {
        if (error !== null || message.reply === undefined) return;
        const method = message.subject.slice(prefix.length);
        void (async () => {
          const answer = await handler(method, message.data).catch((cause: unknown) => failure(cause));
          if (!this.#connection.isClosed()) message.respond(sendable(method, answer));
        })();
      },
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#messages?.stop();
    await this.#connection.close();
  }

  async #ensureStream(config: Partial<StreamConfig> & { readonly name: string }): Promise<void> {
    const known = await absent(this.#manager.streams.info(config.name));
    if (known === null) await this.#manager.streams.add(config);
    else await this.#manager.streams.update(config.name, config);
  }

  async #ensureConsumer(
    stream: string,
    config: Partial<ConsumerConfig> & { readonly durable_name: string },
  ): Promise<void> {
    const known = await absent(this.#manager.consumers.info(stream, config.durable_name));
    if (known === null) await this.#manager.consumers.add(stream, config);
    else await this.#manager.consumers.update(stream, config.durable_name, config);
  }

  /** After a reconnect the store may be another one: everything is made sure of again. */
  async #follow(): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (status.type === "disconnect") {
        this.#ready = Promise.withResolvers();
        for (const end of this.#underWay) end();
      }
      if (status.type !== "reconnect") continue;
      while (!this.#isClosed()) {
        try {
          await this.prepare();
          for (const host of this.#hosts)
            await this.#ensureConsumer(streams.documents, documentConsumer(host));
          // What was asked of the former process is not answered by this one.
          this.#messages?.stop();
          this.#ready.resolve(undefined);
          break;
        } catch {
          // nats-server went away again or is not ready; what is still missing is made in the next round.
          await pause(250);
        }
      }
    }
  }

  async #consume(handler: (host: string, bytes: Uint8Array) => Promise<void>): Promise<void> {
    while (!this.#isClosed()) {
      try {
        const consumer = await this.#client.consumers.get(streams.events, eventsConsumer);
        const messages = await consumer.consume({
          max_messages: 50,
          expires: 30_000,
          idle_heartbeat: 1000,
        });
        this.#messages = messages;
        void stopWhenLost(messages);
        for await (const message of messages) await this.#handOver(message, handler);
      } catch {
        // nats-server is away or has not its streams yet; both end.
        if (!this.#isClosed()) await pause(250);
      }
    }
  }

  async #handOver(
    message: JsMsg,
    handler: (host: string, bytes: Uint8Array) => Promise<void>,
  ): Promise<void> {
    try {
      await handler(hostOf(message.subject), message.data);
      message.ack();
    } catch {
      // The handler says itself what is wrong; the event comes again, and those after it wait.
      message.nak(1000);
    }
  }

  /**
   * Repeats what may be done twice while nats-server is away, has another store or is only slow.
   * @throws StackctlError `nats_unavailable` after {@link persistMs}
   */
  async #persist(failed: string, work: () => Promise<unknown>): Promise<void> {
    const until = Date.now() + persistMs;
    for (;;) {
      try {
        await this.#whileReady(until - Date.now());
        await this.#whileConnected(work);
        return;
      } catch (cause) {
        if (this.#isClosed() || Date.now() > until) {
          throw new StackctlError("nats_unavailable", `${failed}: ${textOf(cause)}`, {
            retryable: true,
            details: { remedy: "look at nats/nats.log in the server's home" },
            cause,
          });
        }
        await pause(100);
      }
    }
  }

  /** Does the work, or fails as soon as the connection goes. */
  async #whileConnected(work: () => Promise<unknown>): Promise<void> {
    const gone = Promise.withResolvers<never>();
    const end = (): void => {
      gone.reject(new Error(away));
    };
    this.#underWay.add(end);
    try {
      await Promise.race([work(), gone.promise]);
    } finally {
      this.#underWay.delete(end);
    }
  }

  /** Waits for nats-server when it is away. @throws Error when it does not come in time */
  async #whileReady(timeoutMs: number): Promise<void> {
    const timeout = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => {
        timeout.reject(new Error(away));
      },
      Math.max(timeoutMs, 0),
    );
    try {
      await Promise.race([this.#ready.promise, timeout.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #isClosed(): boolean {
    return this.#closed || this.#connection.isClosed();
  }
}

/** An agent's documents: each again until it is acknowledged, after a while also when the agent was killed over it. */
function documentConsumer(host: string): Partial<ConsumerConfig> & { readonly durable_name: string } {
  return {
    durable_name: host,
    filter_subject: subjects.document(host, "*"),
    ack_policy: "explicit",
    deliver_policy: "last_per_subject",
    ack_wait: 30 * seconds,
    // At least the number of services of a host: a document that is not acknowledged must not hold up the others.
    max_ack_pending: 64,
    max_waiting: 4,
  };
}

/** Ends a consumption whose other side is gone; the client alone would wait for it for ever. */
async function stopWhenLost(messages: ConsumerMessages): Promise<void> {
  let missed = 0;
  for await (const status of messages.status()) {
    if (status.type === "heartbeats_missed") missed += 1;
    if (
      missed >= 2 ||
      status.type === "consumer_not_found" ||
      status.type === "consumer_deleted" ||
      status.type === "stream_not_found"
    )
      messages.stop();
  }
}

/** A reply that NATS carries: too long a one becomes an error, an empty one would end the caller's reply stream. */
function sendable(method: string, answer: Uint8Array): Uint8Array {
  const size = answer.byteLength;
  if (size > 0 && size <= maxReplyBytes) return answer;
  return failure(
    new Error(`the answer of ${method} has ${String(size)} bytes, 1 to ${String(maxReplyBytes)} can be sent`),
  );
}

function failure(cause: unknown): Uint8Array {
  return Buffer.from(JSON.stringify({ ok: false, error: errorData(cause) }));
}

/** Null instead of the error that says there is no such stream or consumer. */
async function absent<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (
      error instanceof JetStreamApiError &&
      (error.code === JetStreamApiCodes.ConsumerNotFound || error.code === JetStreamApiCodes.StreamNotFound)
    )
      return null;
    throw error;
  }
}

function hostOf(subject: string): string {
  return subject.split(".")[1] ?? "";
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
