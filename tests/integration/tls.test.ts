import { createServer, connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import { connect, nkeyAuthenticator, type ConnectionOptions } from "@nats-io/transport-node";
import { natsTlsName } from "@stackctl/protocol";
import { connectBus } from "@stackctl/server/bus/nats.ts";
import { makeAuthority } from "@stackctl/server/trust/pki.ts";
import { afterAll, beforeAll, expect, it } from "vitest";
import { makeWorld, newUser, until, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await makeWorld(["a1"]);
});
afterAll(async () => {
  await world.close();
});

const auth = (seed: string): NonNullable<ConnectionOptions["authenticator"]> =>
  nkeyAuthenticator(new TextEncoder().encode(seed));

/** Tries to connect as a1 with other options; resolves with why it was refused. */
async function refusal(options: Record<string, unknown>): Promise<string> {
  try {
    const connection = await connect({
      servers: [world.url],
      tls: { ca: world.ca, servername: natsTlsName },
      authenticator: auth(world.agent("a1").seed),
      reconnect: false,
      timeout: 3000,
      ...options,
    } as ConnectionOptions);
    await connection.close();
    return "let in";
  } catch (error) {
    return String(error);
  }
}

it("lets in who checks the right name with the right authority and has a key", async () => {
  expect(await refusal({})).toBe("let in");
});

it.each<[string, () => Promise<Record<string, unknown>> | Record<string, unknown>, RegExp]>([
  [
    "an authority of another cloud",
    async () => ({ tls: { ca: (await makeAuthority()).caCert, servername: natsTlsName } }),
    /self-signed|unable to verify|certificate/i,
  ],
  [
    "the authorities of the system",
    () => ({ tls: { servername: natsTlsName } }),
    /self-signed|unable to verify|certificate/i,
  ],
  [
    "another name than the certificate's",
    () => ({ tls: { ca: world.ca, servername: "other.example" } }),
    /altnames|does not match/i,
  ],
  ["no name said, only an address", () => ({ tls: { ca: world.ca } }), /altnames|does not match/i],
])("a client refuses the server by %s", async (_what, options, why) => {
  expect(await refusal(await options())).toMatch(why);
});

it.each<[string, () => Record<string, unknown>]>([
  ["no key", () => ({ authenticator: undefined })],
  ["an unknown key", () => ({ authenticator: auth(newUser().seed) })],
  ["user and password", () => ({ authenticator: undefined, user: "a1", pass: "secret" })],
  ["a token", () => ({ authenticator: undefined, token: "secret" })],
])("nats-server refuses %s, and writes it into its log", async (_what, options) => {
  const before = world.log().length;
  expect(await refusal(options())).toMatch(/authorization/i);
  await until("the line in the log", () => /authentication error/i.test(world.log().slice(before)));
});

it("nats-server refuses TLS 1.2", async () => {
  const said = await new Promise<string>((resolve) => {
    const socket = connectTcp({ host: "127.0.0.1", port: world.options.port });
    // NATS begins in the clear with one line, INFO, before TLS.
    socket.once("data", () => {
      const secured = connectTls({
        socket,
        ca: world.ca,
        servername: natsTlsName,
        maxVersion: "TLSv1.2",
      });
      secured.once("secureConnect", () => {
        resolve(`let in with ${secured.getProtocol() ?? "?"}`);
        secured.destroy();
      });
      secured.once("error", (error) => {
        resolve(String(error));
      });
    });
  });
  expect(said).toMatch(/protocol version/i);
});

it("nats-server answers nothing in the clear but its greeting", async () => {
  const said = await new Promise<string>((resolve) => {
    let text = "";
    const socket = connectTcp({ host: "127.0.0.1", port: world.options.port });
    socket.setEncoding("utf8").on("data", (data: string) => {
      if (text === "") socket.write('CONNECT {"verbose":true}\r\nSUB > 1\r\nPING\r\n');
      text += data;
    });
    socket.once("error", () => {
      resolve(text);
    });
    socket.once("close", () => {
      resolve(text);
    });
  });
  expect(said).toMatch(/^INFO \{.*"tls_required":true/);
  expect(said.split("\r\n").slice(1).join("")).not.toMatch(/\+OK|PONG|MSG/);
});

it("a client that was told to use TLS says nothing to a server without it", async () => {
  let heard = "";
  const imposter = createServer((socket) => {
    socket.on("error", () => undefined).on("data", (data) => (heard += data.toString("latin1")));
    socket.write(
      'INFO {"server_id":"x","version":"2.15.1","proto":1,"headers":true,"nonce":"n","auth_required":true}\r\n',
    );
  });
  await new Promise<void>((resolve) => imposter.listen(0, "127.0.0.1", resolve));
  const { port } = imposter.address() as { port: number };
  expect(await refusal({ servers: [`tls://127.0.0.1:${String(port)}`] })).toMatch(/does not support 'tls'/);
  expect(heard).toBe("");
  await new Promise((resolve) => imposter.close(resolve));
});

it("the server says so when its nats-server is not its own", async () => {
  await expect(
    connectBus({ url: world.url, ca: (await makeAuthority()).caCert, seed: world.server.seed }),
  ).rejects.toMatchObject({ code: "nats_start_failed" });
});
