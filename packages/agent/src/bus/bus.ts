/** The agent's side of the channels. Bytes go in and out; nothing is trusted here. */
export interface AgentBus {
  /** Documents, each again until the handler returns: then it is acknowledged. */
  onDocument(handler: (subject: string, bytes: Uint8Array) => void): void;
  /** Requests; never answered on the spot. */
  onRequest(handler: (subject: string, bytes: Uint8Array) => void): void;
  /** Hands an event to the server's stream. @returns true once the stream has it */
  sendResult(id: string, bytes: Uint8Array): Promise<boolean>;
  /** Sends a heartbeat; lost when nobody is connected. */
  sendStatus(bytes: Uint8Array): void;
  /** Sends lines of a log. @returns false when nobody is connected, and they are lost */
  sendLines(bytes: Uint8Array): boolean;
  /** Called whenever the connection comes (again). */
  onConnected(handler: () => void): void;
  close(): Promise<void>;
}
