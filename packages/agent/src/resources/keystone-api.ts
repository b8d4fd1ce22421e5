import { StackctlError, type SecretRef } from "@stackctl/protocol";
import type { Context } from "../engine/resource.ts";
import type { Host, WebAnswer, WebRequest } from "../host/host.ts";

const requestMs = 20_000;

/** Tokens of `admin` by the keystone that issued them and the version of the password; in memory only, for as long as they are taken. */
const tokens = new WeakMap<Host["web"], Map<string, string>>();

/** Keystone's API v3, asked as `admin`. */
export interface KeystoneApi {
  /** What is there, by its path below `/v3`, such as `/services?type=identity`; null: it is not there. */
  readonly get: (path: string) => Promise<Json | null>;
  /** Makes or changes something. @throws StackctlError `keystone_refused` */
  readonly send: (method: "POST" | "PUT" | "PATCH" | "DELETE", path: string, body?: Json) => Promise<Json>;
}

/** A JSON object as it came. */
export type Json = Readonly<Record<string, unknown>>;

/**
 * Keystone at this URL. Logs in when it has no token, and once more when the one it has is not taken any longer.
 * Each call throws StackctlError `keystone_unreachable` or `keystone_refused`.
 */
export function keystoneApi(
  { host, reveal }: Pick<Context, "host" | "reveal">,
  { url, password }: { readonly url: string; readonly password: SecretRef },
): KeystoneApi {
  const known = tokens.get(host.web) ?? new Map<string, string>();
  tokens.set(host.web, known);
  const key = `${String(password.version)} ${url}`;
  const login = async (): Promise<string> => {
    const answer = await logIn(host, url, "admin", reveal(password), "admin");
    const token = answer.header("x-subject-token");
    if (answer.status !== 201 || token === null)
      throw refused(answer, "the login of admin", "stackctl apply controller");
    known.set(key, token);
    return token;
  };
  const ask = async (request: Omit<WebRequest, "headers">): Promise<WebAnswer> => {
    const cached = known.get(key);
    const send = (token: string): Promise<WebAnswer> => asked(host, { ...request, headers: headers(token) });
    const answer = await send(cached ?? (await login()));
    if (answer.status !== 401 || cached === undefined) return answer;
    known.delete(key);
    return send(await login());
  };
  return {
    get: async (path) => {
      const answer = await ask({ method: "GET", url: `${url}${path}` });
      if (answer.status === 404) return null;
      if (answer.status !== 200) throw refused(answer, `GET ${path}`);
      return jsonOf(answer);
    },
    send: async (method, path, body) => {
      const text = body === undefined ? {} : { body: JSON.stringify(body) };
      const answer = await ask({ method, url: `${url}${path}`, ...text });
      // What is to go may have gone by itself.
      const isFine = answer.status < 300 || (method === "DELETE" && answer.status === 404);
      if (!isFine) throw refused(answer, `${method} ${path}`);
      return answer.status === 204 || answer.text === "" ? {} : jsonOf(answer);
    },
  };
}

/** Asks for a token of a user of the default domain, in a project of it; the answer is for the caller to judge. */
export function logIn(
  host: Host,
  url: string,
  user: string,
  password: string,
  project: string,
): Promise<WebAnswer> {
  const domain = { id: "default" };
  const body = {
    auth: {
      identity: { methods: ["password"], password: { user: { name: user, domain, password } } },
      scope: { project: { name: project, domain } },
    },
  };
  const json = { "content-type": "application/json" };
  return asked(host, {
    method: "POST",
    url: `${url}/auth/tokens`,
    headers: json,
    body: JSON.stringify(body),
  });
}

/** The objects of a list that keystone answered with. */
export function listOf(answer: Json | null, name: string): Json[] {
  const list = answer?.[name];
  return Array.isArray(list)
    ? list.filter((each): each is Json => typeof each === "object" && each !== null)
    : [];
}

/** A text of such an object; empty when it has none. */
export function textOf(json: Json | undefined, name: string): string {
  const value = json?.[name];
  return typeof value === "string" ? value : "";
}

async function asked(host: Host, request: WebRequest): Promise<WebAnswer> {
  const answer = await host.web.ask(request, requestMs);
  if (answer !== null) return answer;
  throw new StackctlError(
    "keystone_unreachable",
    `keystone does not answer at ${new URL(request.url).host}`,
    {
      retryable: true,
      details: { remedy: "stackctl logs keystone" },
    },
  );
}

function headers(token: string): Record<string, string> {
  return { "x-auth-token": token, "content-type": "application/json" };
}

function jsonOf(answer: WebAnswer): Json {
  return JSON.parse(answer.text) as Json;
}

/** Keystone's own words; it repeats no password in them. */
function refused(answer: WebAnswer, what: string, remedy = "stackctl logs keystone"): StackctlError {
  const words = /"message": *"((?:[^"\\]|\\.)*)"/.exec(answer.text)?.[1] ?? answer.text;
  return new StackctlError(
    "keystone_refused",
    `keystone refused ${what}: ${String(answer.status)} ${words.slice(0, 300)}`,
    { retryable: answer.status >= 500, details: { remedy } },
  );
}
