import { connect, nkeyAuthenticator, type NatsConnection, type TlsOptions } from "@nats-io/transport-node";
import {
  apiMethods,
  errorFromData,
  natsTlsName,
  StackctlError,
  subjects,
  type ApiAnswer,
  type ApiMethod,
  type ApiRequest,
  type ErrorData,
  type ServerFile,
} from "@stackctl/protocol";

/** A connection of the command line with the server. */
export interface ApiClient {
  /** @throws StackctlError what the server says, or `server_unreachable` when it says nothing in time */
  readonly call: <M extends ApiMethod>(
    method: M,
    request: ApiRequest<M>,
    timeoutMs?: number,
  ) => Promise<ApiAnswer<M>>;
  readonly close: () => Promise<void>;
}

/** Connects as the operator. @throws StackctlError `server_unreachable` */
export async function connectApi(file: ServerFile): Promise<ApiClient> {
  let connection: NatsConnection;
  try {
    connection = await connect({
      servers: [file.url],
      name: "stackctl",
      // The client hands these on to node:tls; its type forgets `servername`, without which it would check an address.
      tls: { ca: file.ca, servername: natsTlsName } as TlsOptions,
      authenticator: nkeyAuthenticator(new TextEncoder().encode(file.operatorSeed)),
      inboxPrefix: subjects.operatorInbox,
      reconnect: false,
      timeout: 3000,
    });
  } catch (cause) {
    throw unreachable(file.url, cause);
  }
  return {
    call: async (method, request, timeoutMs = 30_000) => {
      let data: Uint8Array;
      try {
        data = (
          await connection.request(subjects.api(method), JSON.stringify(request), { timeout: timeoutMs })
        ).data;
      } catch (cause) {
        throw unreachable(file.url, cause);
      }
      const reply = JSON.parse(new TextDecoder().decode(data)) as
        { ok: true; result: unknown } | { ok: false; error: ErrorData };
      if (!reply.ok) throw errorFromData(reply.error);
      return apiMethods[method].answer.parse(reply.result) as ApiAnswer<typeof method>;
    },
    close: () => connection.close(),
  };
}

function unreachable(url: string, cause: unknown): StackctlError {
  const why = cause instanceof Error ? `: ${cause.message}` : "";
  return new StackctlError("server_unreachable", `the server at ${url} does not answer${why}`, {
    retryable: true,
    details: { remedy: "look with: stackctl server status; end it with: stackctl server stop" },
    cause,
  });
}
