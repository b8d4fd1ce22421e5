import { ports, type SecretRef } from "@stackctl/protocol";
import type { CompileContext } from "./service.ts";

/** Seconds that a service waits for the database before it takes the connection for dead and makes another one. */
const databaseSeconds = { connect: 5, read: 60 } as const;

/** The one address at which services are reached from within the cloud. */
export function internalAddress({ cloud, primary }: CompileContext): string {
  const host = cloud.hosts.find(({ name }) => name === primary);
  if (host === undefined) throw new Error(`${primary} is no host`);
  return host.addresses.management;
}

/** Where the world reaches a service. */
function publicUrl(context: CompileContext, port: number): string {
  return `http://${internalAddress(context)}:${String(port)}`;
}

/**
 * The URL by which a service finds its database, for SQLAlchemy 1.4 with PyMySQL 1.0. PyMySQL itself asks for TCP
 * keepalive; its timeouts are what ends the wait for a database that was cut off in the middle of a question.
 */
export function databaseUrl(
  context: CompileContext,
  { user, database, secret }: { readonly user: string; readonly database: string; readonly secret: string },
): readonly (string | SecretRef)[] {
  const place = `${internalAddress(context)}:${String(ports.mariadb)}`;
  const { connect, read } = databaseSeconds;
  const options = {
    charset: "utf8mb4",
    connect_timeout: connect,
    read_timeout: read,
    write_timeout: read,
  };
  const query = Object.entries(options).map(([key, value]) => `${key}=${String(value)}`);
  return [
    `mysql+pymysql://${user}:`,
    { secret, version: context.secretVersion(secret) },
    `@${place}/${database}?${query.join("&")}`,
  ];
}

/** The three addresses of an API in the catalog. */
export function endpointUrls(
  context: CompileContext,
  { port, path }: { readonly port: number; readonly path: string },
): { readonly public: string; readonly internal: string; readonly admin: string } {
  const internal = `http://${internalAddress(context)}:${String(port)}${path}`;
  return { public: `${publicUrl(context, port)}${path}`, internal, admin: internal };
}
