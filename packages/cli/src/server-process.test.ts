import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ensureServer, readServerFile } from "./server-process.ts";
import { Session } from "./session.ts";
import type { Place } from "./place.ts";

let folder: string;
let place: Place;
let said: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stackctl-cli-"));
  place = { cloudFile: join(folder, "cloud.yaml"), home: join(folder, "home") };
  said = [];
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const say = (text: string): void => {
  said.push(text);
};

/** A server that writes these lines where the command line listens, and ends. */
function serverThatSays(...lines: unknown[]): string {
  const bundle = join(folder, "server.mjs");
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  writeFileSync(bundle, `import { writeSync } from "node:fs";\nwriteSync(3, ${JSON.stringify(text)});\n`);
  return bundle;
}

describe("a server's start", () => {
  it("is not tried without a cloud's file, and leaves no home behind", async () => {
    await expect(ensureServer({ place, bundle: serverThatSays({ ready: true }), say })).rejects.toMatchObject(
      {
        code: "cloud_missing",
        details: { remedy: "make one with: stackctl init" },
      },
    );
    expect(existsSync(place.home)).toBe(false);
  });

  it("fails with the server's own words", async () => {
    writeFileSync(place.cloudFile, "");
    const error = {
      code: "address_not_local",
      message: "no route",
      retryable: false,
      details: { remedy: "set server.address" },
    };
    const bundle = serverThatSays({ progress: "looking for nats-server" }, { error });
    await expect(ensureServer({ place, bundle, say })).rejects.toMatchObject(error);
  });

  it("that ends without a word names the log", async () => {
    writeFileSync(place.cloudFile, "");
    await expect(ensureServer({ place, bundle: serverThatSays(), say })).rejects.toMatchObject({
      code: "server_start_failed",
      details: { remedy: `look at ${join(place.home, "server.log")}` },
    });
  });

  it("of one that is ready and gone at once is a failure, too", async () => {
    writeFileSync(place.cloudFile, "");
    await expect(ensureServer({ place, bundle: serverThatSays({ ready: true }), say })).rejects.toMatchObject(
      {
        message: "the server started and ended again",
      },
    );
    expect(said).toEqual([expect.stringMatching(/^server started \(pid \d+\)$/)]);
  });

  it("needs one that is built", async () => {
    writeFileSync(place.cloudFile, "");
    await expect(ensureServer({ place, bundle: join(folder, "none.js"), say })).rejects.toMatchObject({
      code: "file_failed",
      details: { remedy: "build stackctl with: npm run build" },
    });
  });
});

describe("server.json", () => {
  const write = (pid: number): void => {
    const file = { pid, version: "1", build: "b", url: "tls://127.0.0.1:1", ca: "ca", operatorSeed: "s" };
    place = { ...place, home: folder };
    writeFileSync(join(folder, "server.json"), JSON.stringify(file));
  };

  it("of a pid that another process has now names no server", () => {
    write(process.pid);
    expect(readServerFile(place)).toBeNull();
  });

  it("that is not there names none", () => {
    expect(readServerFile(place)).toBeNull();
  });
});

describe("a call", () => {
  it("with words that no server takes is a mistake before one is started", async () => {
    const session = new Session(place, say, serverThatSays({ ready: true }));
    await expect(session.call("why", { host: "Not a host", resource: "a/b" }, null)).rejects.toMatchObject({
      code: "usage",
      message: 'host "Not a host" is not of its form',
    });
    expect(existsSync(place.home)).toBe(false);
  });

  it("says nothing of a secret that is not of its form", async () => {
    const session = new Session(place, say, serverThatSays({ ready: true }));
    const value = "hunter2".repeat(1000);
    const error: unknown = await session
      .call("secret-set", { name: "a", value }, null)
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "usage", message: "value is not of its form" });
  });
});
