import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import { isIP } from "node:net";
import { Readable } from "node:stream";
import { StackctlError } from "@stackctl/protocol";
import type { RegistryAt, RegistryImage } from "./host.ts";

/** The one form of manifest that docker 20.10 pushes: one platform, schema 2 (distribution's manifest-v2-2). */
const manifestType = "application/vnd.docker.distribution.manifest.v2+json";
const answerSeconds = 60;

/** A manifest as far as it is looked at. */
interface Manifest {
  readonly config: Blob;
  readonly layers: readonly Blob[];
}

/** One blob of an image: its configuration or a layer. */
export interface Blob {
  readonly digest: string;
  readonly size: number;
}

/** An image's manifest, exactly as it is stored, and its blobs. */
export interface StoredImage extends RegistryImage {
  readonly text: string;
  readonly blobs: readonly Blob[];
}

/** Where blobs are taken from. */
export type BlobSource = (blob: Blob) => Readable | Promise<Readable>;

/** Parses a manifest's text. @throws StackctlError `registry_refused` when it is of another form */
export function storedImage(text: string): StoredImage {
  const digest = `sha256:${createHash("sha256").update(text).digest("hex")}`;
  const { config, layers } = JSON.parse(text) as Partial<Manifest>;
  if (config === undefined || layers === undefined)
    throw new StackctlError(
      "registry_refused",
      `the manifest ${digest} is of a form that docker does not push`,
    );
  const blobs = [config, ...layers];
  const sizeBytes = blobs.reduce((sum, { size }) => sum + size, 0);
  return { digest, id: config.digest, sizeBytes, text, blobs };
}

/** Connections are kept: a pass over all images of a host asks one registry a dozen times. */
const connections = new Map<string, Agent>();

/** One registry, spoken to by its API (distribution's HTTP API V2). */
export class Registry {
  readonly #at: RegistryAt;
  /** What the registry wants to see, by repository, once it has said so. */
  readonly #authorization = new Map<string, string>();

  constructor(at: RegistryAt) {
    this.#at = at;
  }

  /** @returns null: it has no such image */
  async image(name: string, reference: string): Promise<StoredImage | null> {
    const answer = await this.#ask("GET", name, `manifests/${reference}`, { Accept: manifestType });
    const text = await textOf(answer);
    if (answer.statusCode === 404) return null;
    this.#expect(answer, 200, `${name}:${reference}`, text);
    return storedImage(text);
  }

  /** Names of the images that it has, or had. */
  async names(): Promise<string[]> {
    return (await this.#list("_catalog", "repositories")) ?? [];
  }

  /** Tags of an image. */
  async tags(name: string): Promise<string[]> {
    // One whose last tag was taken away answers 404, or null (distribution 2.8).
    return (await this.#list(`${name}/tags/list`, "tags")) ?? [];
  }

  /** Takes a manifest with all its tags away; a missing one is fine. */
  async remove(name: string, digest: string): Promise<void> {
    const answer = await this.#ask("DELETE", name, `manifests/${digest}`);
    const text = await textOf(answer);
    if (answer.statusCode !== 404) this.#expect(answer, 202, `${name}@${digest}`, text);
  }

  /** A list of names, all pages of it (distribution's API, pagination by Link). */
  async #list(what: string, field: "repositories" | "tags"): Promise<string[] | null> {
    const found: string[] = [];
    let path: string | null = `/v2/${what}?n=1000`;
    for (let page = 0; path !== null; page++) {
      const answer: IncomingMessage = await this.#send("GET", what, path, {}, null);
      const text = await textOf(answer);
      if (answer.statusCode === 404) return null;
      this.#expect(answer, 200, what, text);
      const { [field]: names } = JSON.parse(text) as Partial<Record<typeof field, string[] | null>>;
      found.push(...(names ?? []));
      const next = /<([^>]+)>;\s*rel="next"/.exec(String(answer.headers["link"] ?? ""))?.[1];
      path = next === undefined || page > 100 ? null : next;
    }
    return found;
  }

  /** A blob's bytes; the reader checks them against its digest. */
  async blob(name: string, blob: Blob): Promise<Readable> {
    const answer = await this.#ask("GET", name, `blobs/${blob.digest}`);
    if (answer.statusCode !== 200) this.#expect(answer, 200, `${name}@${blob.digest}`, await textOf(answer));
    return answer;
  }

  /** Stores an image: its blobs where they are missing, then its manifest under a tag. Safe to repeat and to break off. */
  async store(name: string, tag: string, image: StoredImage, source: BlobSource): Promise<void> {
    for (const blob of image.blobs) {
      const head = await this.#ask("HEAD", name, `blobs/${blob.digest}`);
      head.resume();
      if (head.statusCode === 200) continue;
      await this.#upload(name, blob, source);
    }
    const put = await this.#ask(
      "PUT",
      name,
      `manifests/${tag}`,
      { "Content-Type": manifestType, "Content-Length": String(Buffer.byteLength(image.text)) },
      Readable.from([image.text]),
    );
    this.#expect(put, 201, `${name}:${tag}`, await textOf(put));
  }

  async #upload(name: string, blob: Blob, source: BlobSource): Promise<void> {
    const begun = await this.#ask("POST", name, "blobs/uploads/", { "Content-Length": "0" });
    this.#expect(begun, 202, `an upload to ${name}`, await textOf(begun));
    const location = new URL(begun.headers.location ?? "", `https://${this.#at.name}`);
    location.searchParams.set("digest", blob.digest);
    const put = await this.#send(
      "PUT",
      name,
      `${location.pathname}${location.search}`,
      { "Content-Type": "application/octet-stream", "Content-Length": String(blob.size) },
      await source(blob),
    );
    this.#expect(put, 201, `${name}@${blob.digest}`, await textOf(put));
  }

  async #ask(
    method: string,
    name: string,
    path: string,
    headers: Record<string, string> = {},
    body: Readable | null = null,
  ): Promise<IncomingMessage> {
    const where = `/v2/${name}/${path}`;
    const answer = await this.#send(method, name, where, headers, body);
    if (answer.statusCode !== 401 || body !== null || this.#at.login === null) return answer;
    answer.resume();
    this.#authorization.set(name, await this.#authorize(answer.headers["www-authenticate"] ?? ""));
    return this.#send(method, name, where, headers, null);
  }

  async #send(
    method: string,
    name: string,
    path: string,
    headers: Record<string, string>,
    body: Readable | null,
  ): Promise<IncomingMessage> {
    const [host = "", port = "443"] = this.#at.name.split(":");
    const authorization = this.#authorization.get(name);
    const options = {
      method,
      path,
      host: this.#at.address ?? host,
      port: Number(port),
      // An address is no server name (RFC 6066, section 3): the certificate is checked for it all the same.
      ...(isIP(host) === 0 ? { servername: host } : {}),
      headers: {
        Host: this.#at.name,
        ...headers,
        ...(authorization === undefined ? {} : { Authorization: authorization }),
      },
      agent: agentFor(this.#at),
      ...(this.#at.ca === null ? {} : { ca: this.#at.ca }),
    };
    return new Promise((resolve, reject) => {
      const failed = (cause: Error): void => {
        body?.destroy();
        reject(unreachable(this.#at, cause));
      };
      const sent = httpsRequest(options, resolve);
      sent.once("error", failed);
      sent.setTimeout(answerSeconds * 1000, () => {
        sent.destroy(new Error(`it said nothing for ${String(answerSeconds)} s`));
      });
      if (body === null) {
        sent.end();
        return;
      }
      body.once("error", (error) => sent.destroy(error));
      body.pipe(sent);
    });
  }

  /** The header that a registry asks for (RFC 7235; distribution's token authentication). */
  async #authorize(challenge: string): Promise<string> {
    const { login } = this.#at;
    if (login === null) throw refusedLogin(this.#at);
    const basic = `Basic ${Buffer.from(`${login.user}:${login.password}`).toString("base64")}`;
    if (!/^bearer /i.test(challenge)) return basic;
    const field = (key: string): string | undefined => new RegExp(`${key}="([^"]*)"`).exec(challenge)?.[1];
    const realm = new URL(field("realm") ?? "");
    for (const key of ["service", "scope"]) {
      const value = field(key);
      if (value !== undefined) realm.searchParams.set(key, value);
    }
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const options = {
        headers: { Authorization: basic },
        ...(this.#at.ca === null ? {} : { ca: this.#at.ca }),
      };
      httpsRequest(realm, options, resolve)
        .once("error", (cause) => {
          reject(unreachable(this.#at, cause));
        })
        .end();
    });
    const text = await textOf(answer);
    if (answer.statusCode !== 200) throw refusedLogin(this.#at);
    const token = JSON.parse(text) as { token?: string; access_token?: string };
    return `Bearer ${token.token ?? token.access_token ?? ""}`;
  }

  #expect(answer: IncomingMessage, status: number, what: string, text: string): void {
    if (answer.statusCode === status) return;
    if (answer.statusCode === 401 || answer.statusCode === 403) throw refusedLogin(this.#at);
    throw new StackctlError(
      "registry_refused",
      `registry ${this.#at.name} answered ${String(answer.statusCode)} for ${what}: ${text.slice(0, 200)}`,
      { retryable: true, details: { remedy: "look at its log: stackctl logs registry" } },
    );
  }
}

function agentFor(at: RegistryAt): Agent {
  const key = JSON.stringify([at.name, at.address, at.ca]);
  const known = connections.get(key) ?? new Agent({ keepAlive: true, maxSockets: 4 });
  connections.set(key, known);
  return known;
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}

function unreachable(at: RegistryAt, cause: Error): StackctlError {
  const where = at.address === null ? at.name : `${at.name} at ${at.address}`;
  return new StackctlError("registry_unreachable", `registry ${where}: ${cause.message}`, {
    retryable: true,
    details: { remedy: "stackctl status" },
    cause,
  });
}

function refusedLogin(at: RegistryAt): StackctlError {
  return new StackctlError("registry_refused", `registry ${at.name} does not take the login`, {
    details: { remedy: "stackctl secret set registry-password" },
  });
}
