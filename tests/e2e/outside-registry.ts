import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runOn, type Lab } from "../lab/lab.ts";
import { withPackages } from "../lab/packages.ts";
import { on, until } from "./world.ts";

/** A registry that is no part of the cloud, as a cloud is told of it. */
export interface OutsideRegistry {
  /** Address and port. */
  readonly name: string;
  /** Certificate of its authority, PEM. */
  readonly ca: string;
  readonly user: string;
  readonly password: string;
}

/** Runs Debian's docker-registry on a lab host that is in no cloud, with TLS by an authority of its own and a login. */
export async function outsideRegistry(lab: Lab, host: string): Promise<OutsideRegistry> {
  const address = lab.hosts.find(({ name }) => name === host)?.management ?? "";
  const name = `${address}:5000`;
  const user = "cloud";
  const password = randomBytes(12).toString("hex");
  await withPackages(lab, host, () =>
    on(
      lab,
      host,
      "sh",
      "-c",
      "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends docker-registry apache2-utils",
    ),
  );
  const { ca, certificate, key } = certified(address);
  const configuration = JSON.stringify({
    version: "0.1",
    storage: { filesystem: { rootdirectory: "/var/lib/docker-registry" } },
    http: {
      addr: name,
      tls: { certificate: "/etc/docker/registry/tls.crt", key: "/etc/docker/registry/tls.key" },
    },
    auth: { htpasswd: { realm: "outside", path: "/etc/docker/registry/htpasswd" } },
  });
  const put = async (path: string, text: string): Promise<void> => {
    const { code, stderr } = await runOn(
      lab,
      host,
      ["sh", "-c", `cat > ${path} && chown docker-registry ${path} && chmod 400 ${path}`],
      {
        input: text,
      },
    );
    if (code !== 0) throw new Error(`${host}: ${path}: ${stderr}`);
  };
  await put("/etc/docker/registry/tls.crt", certificate);
  await put("/etc/docker/registry/tls.key", key);
  await put("/etc/docker/registry/htpasswd", await on(lab, host, "htpasswd", "-Bbn", user, password));
  await put("/etc/docker/registry/config.yml", configuration);
  await on(lab, host, "systemctl", "restart", "docker-registry");
  await until("the outside registry answers", 30, async () =>
    (await runOn(lab, host, ["bash", "-c", `exec 3<>/dev/tcp/${address}/5000`])).code === 0 ? true : null,
  );
  return { name, ca, user, password };
}

/** Names of the images that it holds, asked on its own disk. */
export async function heldBy(lab: Lab, host: string): Promise<string[]> {
  const { stdout } = await runOn(lab, host, [
    "ls",
    "/var/lib/docker-registry/docker/registry/v2/repositories",
  ]);
  return stdout.split("\n").filter((line) => line !== "");
}

/** A certificate for an address, and the authority that signed it. */
function certified(address: string): { ca: string; certificate: string; key: string } {
  const folder = mkdtempSync(join(tmpdir(), "stackctl-outside-"));
  const openssl = (...args: string[]): void => {
    execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  };
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  try {
    openssl(
      "req",
      "-x509",
      ...newKey,
      "-keyout",
      "ca.key",
      "-out",
      "ca.crt",
      "-days",
      "30",
      "-subj",
      "/CN=outside",
    );
    openssl("req", ...newKey, "-keyout", "tls.key", "-out", "tls.csr", "-subj", "/CN=registry");
    writeFileSync(join(folder, "extensions"), `subjectAltName=IP:${address}\n`);
    openssl(
      ...["x509", "-req", "-in", "tls.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"],
      ...["-days", "30", "-extfile", "extensions", "-out", "tls.crt"],
    );
    const read = (name: string): string => readFileSync(join(folder, name), "utf8");
    return { ca: read("ca.crt"), certificate: read("tls.crt"), key: read("tls.key") };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
