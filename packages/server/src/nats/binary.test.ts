import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { natsServerBinary, versionAllowed } from "./binary.ts";

const path = process.env["PATH"] ?? "";
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "binary-"));
});
afterEach(() => {
  process.env["PATH"] = path;
  rmSync(folder, { recursive: true });
});

it.each([
  ["2.9.10", false],
  ["2.10.27", false],
  ["2.11.16", false],
  ["2.12.11", false],
  ["2.12.12", true],
  ["2.13.0", true],
  ["2.14.2", false],
  ["2.14.3", true],
  ["2.15.1", true],
  ["3.0.0", true],
  ["1.99.99", false],
  ["2.15", false],
  ["2.15.1-RC.1", false],
  ["", false],
])("version %s: %s", (version, allowed) => {
  expect(versionAllowed(version)).toBe(allowed);
});

describe("natsServerBinary", () => {
  it("takes the newest allowed one of a cache and asks nobody", async () => {
    machineHas("apt-get", "exit 99");
    for (const version of ["2.9.10", "2.15.1", "2.12.12", "2.14.2"]) putBinary("shared", version);
    await expect(natsServerBinary(join(folder, "own"), join(folder, "shared"))).resolves.toBe(
      join(folder, "shared/nats-server/2.15.1/nats-server"),
    );
  });

  it("takes the one of its own cache when the machine has none", async () => {
    machineHas("apt-get", "exit 99");
    putBinary("own", "2.14.3");
    await expect(natsServerBinary(join(folder, "own"), join(folder, "shared"))).resolves.toBe(
      join(folder, "own/nats-server/2.14.3/nats-server"),
    );
  });

  it("fetches once what several ask for at the same time, and leaves nothing else behind", async () => {
    mirrorOffers("2.15.1");
    const cache = join(folder, "shared");
    const paths = await Promise.all([1, 2, 3].map(() => natsServerBinary(join(folder, "own"), cache)));
    expect(new Set(paths)).toEqual(new Set([join(cache, "nats-server/2.15.1/nats-server")]));
    expect(existsSync(paths[0] ?? "")).toBe(true);
    expect(readdirSync(join(cache, "nats-server"))).toEqual(["2.15.1"]);
  });

  it("uses its own cache when the machine's cannot be written", async () => {
    mirrorOffers("2.15.1");
    writeFileSync(join(folder, "shared"), "a file where a folder should be");
    await expect(natsServerBinary(join(folder, "own"), join(folder, "shared/below"))).resolves.toBe(
      join(folder, "own/nats-server/2.15.1/nats-server"),
    );
  });

  it("refuses a version that is too old", async () => {
    mirrorOffers("2.10.27");
    await expect(natsServerBinary(join(folder, "own"), join(folder, "shared"))).rejects.toMatchObject({
      code: "nats_version_refused",
      details: { found: "2.10.27" },
    });
    expect(readdirSync(join(folder, "shared/nats-server"))).toEqual([]);
  });

  it("says what apt said when there is no mirror, and what to do", async () => {
    machineHas("apt-get", 'echo "E: Could not connect to 192.0.2.1:80" >&2; exit 100');
    const failed = natsServerBinary(join(folder, "own"), join(folder, "shared"));
    await expect(failed).rejects.toMatchObject({ code: "nats_fetch_failed", retryable: true });
    await expect(failed).rejects.toThrow("Could not connect to 192.0.2.1:80");
    await expect(failed).rejects.toHaveProperty(
      ["details", "remedy"],
      expect.stringContaining("apt-get update"),
    );
    expect(readdirSync(join(folder, "shared/nats-server"))).toEqual([]);
  });

  it("never lets apt take what is not signed", async () => {
    machineHas(
      "apt-get",
      `echo "$@" >>${join(folder, "asked")}; cat "$PWD/sources.list" >>${join(folder, "asked")}; exit 100`,
    );
    await expect(natsServerBinary(join(folder, "own"), join(folder, "shared"))).rejects.toThrow();
    const asked = readFileSync(join(folder, "asked"), "utf8");
    expect(asked).toContain("signed-by=/usr/share/keyrings/debian-archive-keyring.gpg");
    expect(asked).toContain("APT::Get::AllowUnauthenticated=false");
    expect(asked).toContain("Acquire::AllowInsecureRepositories=false");
  });
});

function putBinary(cache: string, version: string): void {
  mkdirSync(join(folder, cache, "nats-server", version), { recursive: true });
  writeFileSync(join(folder, cache, "nats-server", version, "nats-server"), "");
}

/** Puts a command of this name before the machine's own. */
function machineHas(name: string, script: string): void {
  const bin = join(folder, "bin");
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(bin, name), 0o755);
  process.env["PATH"] = `${bin}:${path}`;
}

/** A mirror whose package holds a nats-server that says this version. */
function mirrorOffers(version: string): void {
  machineHas("apt-get", 'for last; do :; done; [ "$last" = update ] || : >nats-server_1_amd64.deb');
  machineHas(
    "dpkg-deb",
    `mkdir -p "$3/usr/sbin"; printf '#!/bin/sh\\necho nats-server: v${version}\\n' >"$3/usr/sbin/nats-server"; chmod 755 "$3/usr/sbin/nats-server"`,
  );
}
