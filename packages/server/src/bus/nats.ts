import {
  jetstream,
  jetstreamManager,
  type ConsumerMessages,
  type JetStreamClient,
  type JetStreamManager,
} from "@nats-io/jetstream";
import { connect, nkeyAuthenticator, type NatsConnection, type TlsOptions } from "@nats-io/transport-node";
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

const day = 86_400 * 1e9;
/** How long the server's own calls to JetStream may take. */
const timeout = 10_000;
const eventsConsumer = "server";

/**
 * The server's connection. Streams and consumers are made again whenever the connection is, so that a lost store
 * costs nothing but a second delivery of documents.
 */
export async function connectBus(options: BusOptions): Promise<Bus> {
  const connection = await connect({
    servers: [options.url],
    name: "server",
    // The client hands these on to node:tls; its type forgets `servername`, without which it would check an address.
    tls: { ca: options.ca, servername: natsTlsName } as TlsOptions,
    authenticator: nkeyAuthenticator(new TextEncoder().encode(options.seed)),
    inboxPrefix: subjects.serverInbox,
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    reconnectJitter: 50,
    reconnectJitterTLS: 50,
    pingInterval: 5000,
    maxPingOut: 2,
    timeout: 5000,
  });
  const manager = await jetstreamManager(connection, { timeout });
  const client = jetstream(connection, { timeout });
  const bus = new NatsBus(connection, manager, client);
  await bus.prepare();
  return bus;
}

class NatsBus implements Bus {
  readonly #connection: NatsConnection;
  readonly #manager: JetStreamManager;
  readonly #client: JetStreamClient;
  readonly #hosts = new Set<string>();
  #messages: ConsumerMessages | null = null;
  #closed = false;

  constructor(connection: NatsConnection, manager: JetStreamManager, client: JetStreamClient) {
    this.#connection = connection;
    this.#manager = manager;
    this.#client = client;
    void this.#follow();
  }

  /** Makes the streams as they have to be. */
  async prepare(): Promise<void> {
    await this.#stream({
      name: streams.documents,
      subjects: [subjects.document("*", "*")],
      max_msgs_per_subject: 1,
      discard: "old",
      max_msg_size: maxMessageBytes,
      deny_delete: true,
    });
    await this.#stream({
      name: streams.events,
      subjects: [subjects.result("*")],
      max_msgs_per_subject: 5000,
      max_age: 7 * day,
      discard: "old",
      max_msg_size: maxMessageBytes,
    });
    await this.#manager.consumers.add(streams.events, {
      durable_name: eventsConsumer,
      ack_policy: "explicit",
      deliver_policy: "all",
      ack_wait: 30 * 1e9,
      max_ack_pending: 1,
    });
  }

  async publishDocument(host: string, service: string, bytes: Uint8Array): Promise<void> {
    await this.#client.publish(subjects.document(host, service), bytes, { timeout });
  }

  async request(host: string, bytes: Uint8Array): Promise<"delivered" | "offline"> {
    const reply = `${subjects.serverInbox}.${crypto.randomUUID()}`;
    return new Promise((resolve) => {
      // A subject that nobody listens to is answered by nats-server at once with an empty 503.
      const subscription = this.#connection.subscribe(reply, {
        max: 1,
        callback: (_error, message) => {
          if (message.headers?.code !== 503) return;
          clearTimeout(timer);
          resolve("offline");
        },
      });
      const timer = setTimeout(() => {
        subscription.unsubscribe();
        resolve("delivered");
      }, 100);
      this.#connection.publish(subjects.request(host), bytes, { reply });
    });
  }

  async ensureConsumer(host: string, fresh: boolean): Promise<void> {
    this.#hosts.add(host);
    if (fresh) await this.#forget(() => this.#manager.consumers.delete(streams.documents, host));
    await this.#manager.consumers.add(streams.documents, {
      durable_name: host,
      filter_subject: subjects.document(host, "*"),
      ack_policy: "explicit",
      deliver_policy: "last_per_subject",
      ack_wait: 30 * 1e9,
      max_ack_pending: 64,
      max_waiting: 4,
    });
  }

  async removeHost(host: string): Promise<void> {
    this.#hosts.delete(host);
    await this.#forget(() => this.#manager.consumers.delete(streams.documents, host));
    await this.#manager.streams.purge(streams.documents, { filter: subjects.document(host, "*") });
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

  onCall(handler: (method: string, bytes: Uint8Array) => Promise<Uint8Array>): void {
    const limit = 500 * 1024;
    this.#connection.subscribe(subjects.api("*"), {
      callback: (error, message) => {
        if (error !== null || message.reply === undefined) return;
        void handler(message.subject.slice(subjects.api("").length), message.data).then((answer) => {
          const tooLong = new StackctlError(
            "bug",
            `the answer has ${String(answer.byteLength)} bytes, ${String(limit)} are allowed`,
          );
          message.respond(
            answer.byteLength > limit
              ? Buffer.from(JSON.stringify({ ok: false, error: errorData(tooLong) }))
              : answer,
          );
        });
      },
    });
  }

  onConnection(handler: (up: boolean) => void): void {
    void (async () => {
      for await (const status of this.#connection.status()) {
        if (status.type === "reconnect") handler(true);
        if (status.type === "disconnect") handler(false);
      }
    })();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#messages?.stop();
    await this.#connection.close();
  }

  async #stream(config: Parameters<JetStreamManager["streams"]["add"]>[0] & { name: string }): Promise<void> {
    const known = await this.#forget(() => this.#manager.streams.info(config.name));
    if (known === null) await this.#manager.streams.add(config);
    else await this.#manager.streams.update(config.name, config);
  }

  /** After a reconnect the store may be another one: everything is made sure of again. */
  async #follow(): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (status.type !== "reconnect") continue;
      await this.#repeat(async () => {
        await this.prepare();
        for (const host of this.#hosts) await this.ensureConsumer(host, false);
      });
    }
  }

  async #consume(handler: (host: string, bytes: Uint8Array) => Promise<void>): Promise<void> {
    while (!this.#isClosed()) {
      await this.#repeat(async () => {
        const consumer = await this.#client.consumers.get(streams.events, eventsConsumer);
        this.#messages = await consumer.consume({ max_messages: 50, expires: 30_000, idle_heartbeat: 1000 });
        let missed = 0;
        const messages = this.#messages;
        void (async () => {
          // A consumer that was made anew on the other side is not found by this one: begin again.
          for await (const status of messages.status()) {
            if (status.type === "heartbeats_missed" && ++missed >= 2) messages.stop();
            if (
              status.type === "consumer_not_found" ||
              status.type === "consumer_deleted" ||
              status.type === "stream_not_found"
            )
              messages.stop();
          }
        })();
        for await (const message of messages) {
          await handler(hostOf(message.subject), message.data);
          message.ack();
        }
      });
    }
  }

  /** Repeats what only a missing nats-server can make fail, until it is there or this is closed. */
  async #repeat(work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await work();
        return;
      } catch (error) {
        if (this.#isClosed()) return;
        if (!this.#connection.isClosed() && error instanceof Error)
          await new Promise((resolve) => setTimeout(resolve, 200));
        else throw error;
      }
    }
  }

  #isClosed(): boolean {
    return this.#closed;
  }

  /** Null instead of the error that says there is no such thing. */
  async #forget<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof Error && /not found/.test(error.message)) return null;
      throw error;
    }
  }
}

function hostOf(subject: string): string {
  return subject.split(".")[1] ?? "";
}
