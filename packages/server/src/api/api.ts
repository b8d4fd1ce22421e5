import {
  apiMethods,
  errorData,
  StackctlError,
  type ApiAnswer,
  type ApiMethod,
  type ApiRequest,
} from "@stackctl/protocol";

/** How each call is answered; a method without a handler does not compile. */
export type ApiHandlers = {
  readonly [M in ApiMethod]: (request: ApiRequest<M>) => Promise<ApiAnswer<M>> | ApiAnswer<M>;
};

/**
 * Answers one call: strict request, handler, `{ok: true, result}` or `{ok: false, error}`. Never throws, and never
 * answers with nothing: an empty reply would end the caller's reply stream.
 */
export async function answerCall(
  handlers: ApiHandlers,
  method: string,
  bytes: Uint8Array,
  log: (fields: Record<string, unknown>, message: string) => void,
): Promise<Uint8Array> {
  try {
    if (!isMethod(method)) throw new StackctlError("usage", `there is no call ${method}`);
    return reply({ ok: true, result: await handle(handlers, method, bytes) });
  } catch (error) {
    const data = errorData(error);
    if (data.code === "bug") log({ method, err: error }, "call failed unexpectedly");
    return reply({ ok: false, error: data });
  }
}

async function handle<M extends ApiMethod>(
  handlers: ApiHandlers,
  method: M,
  bytes: Uint8Array,
): Promise<ApiAnswer<M>> {
  const parsed = apiMethods[method].request.safeParse(JSON.parse(Buffer.from(bytes).toString("utf8")));
  if (!parsed.success)
    throw new StackctlError("usage", `the call ${method} is not of its form: ${parsed.error.message}`);
  return handlers[method](parsed.data as ApiRequest<M>);
}

function isMethod(method: string): method is ApiMethod {
  return Object.hasOwn(apiMethods, method);
}

function reply(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
