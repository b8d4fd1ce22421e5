import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { linuxWeb } from "./web.ts";

let server: Server | null = null;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

/** The URL of a server that answers like this. */
function serve(answer: Parameters<typeof createServer>[1]): Promise<string> {
  const made = createServer({}, answer);
  server = made;
  return new Promise((resolve) => {
    made.listen(0, "127.0.0.1", () => {
      resolve(`http://127.0.0.1:${String((made.address() as AddressInfo).port)}`);
    });
  });
}

describe("web", () => {
  it("gives status, headers and text of an answer, also of one that closes the connection", async () => {
    const url = await serve((request, response) => {
      request.resume().on("end", () => {
        response.writeHead(201, { "x-subject-token": "t", connection: "close" }).end(request.method);
      });
    });
    for (let round = 0; round < 2; round++) {
      const answer = await linuxWeb().ask({ method: "POST", url, body: "x" }, 5000);
      expect([answer?.status, answer?.header("x-subject-token"), answer?.text]).toEqual([201, "t", "POST"]);
    }
  });

  it("is null when nobody listens, when none comes in time, and when it breaks off", async () => {
    const silent = await serve(() => undefined);
    expect(await linuxWeb().ask({ method: "GET", url: silent }, 50)).toBeNull();
    server?.closeAllConnections();
    server?.close();
    expect(await linuxWeb().ask({ method: "GET", url: silent }, 5000)).toBeNull();
    const broken = await serve((_request, response) => {
      response.writeHead(200, { "content-length": "10" }).write("half");
      setImmediate(() => response.destroy());
    });
    expect(await linuxWeb().ask({ method: "GET", url: broken }, 5000)).toBeNull();
  });

  it("follows no redirect", async () => {
    const url = await serve((_request, response) => {
      response.writeHead(302, { location: "http://127.0.0.1:1/" }).end();
    });
    expect((await linuxWeb().ask({ method: "GET", url }, 5000))?.status).toBe(302);
  });
});
