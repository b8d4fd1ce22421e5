/**
 * Every NATS subject, stream and consumer name of the product; built nowhere else.
 * Host names are one token by {@link hostNamePattern}, so a subject can be read back by position.
 */
export const subjects = {
  /** A document: server to agent, kept in the stream {@link streams.documents}. */
  document: (host: string, service: string): string => `doc.${host}.${service}`,
  /** A signed request of short life: server to agent, not kept. */
  request: (host: string): string => `req.${host}`,
  /** An agent's events: kept in the stream {@link streams.events}, answered by a PubAck. */
  result: (host: string): string => `evt.${host}.result`,
  /** An agent's heartbeat with what it has: not kept, the next one replaces it. */
  status: (host: string): string => `evt.${host}.status`,
  /** Lines of logs that somebody reads just now: not kept. */
  logLines: (host: string): string => `log.${host}.line`,
  /** A call of the command line. */
  api: (method: string): string => `api.${method}`,
  /** Where an agent receives replies; nobody else may read it. */
  agentInbox: (host: string): string => `_INBOX.${host}`,
  /** Where the server receives replies. */
  serverInbox: "_INBOX.server",
  /** Where the command line receives replies. */
  operatorInbox: "_INBOX.op",
} as const;

/** JetStream streams, all in the server's account. */
export const streams = { documents: "DOCS", events: "EVT" } as const;

/** Largest document or event in bytes; a longer one is refused before it is parsed. */
export const maxMessageBytes = 256 * 1024;
