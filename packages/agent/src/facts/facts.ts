import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  factsScript,
  parseFacts,
  StackctlError,
  type Facts,
  type FactsAnswer,
  type FactsOrder,
  type PackagesWay,
} from "@stackctl/protocol";
import { problemOf } from "../host/apt.ts";
import { query } from "../host/query.ts";

/** What this host is, asked as the server asks one that has no agent yet. @throws Error when an answer is not of its form */
async function collectFacts(names: readonly string[]): Promise<Facts> {
  const { stdout } = await query("sh", ["-c", factsScript, "facts", ...names], 24_000);
  return parseFacts(stdout);
}

/** What the host answers to a `facts` request; printed by `agent.cjs facts`. */
export async function factsAnswerOf({ packages, names }: FactsOrder): Promise<FactsAnswer> {
  const [found, problem] = await Promise.all([collectFacts(names), packagesProblem(packages)]);
  // The clock as it is when the answer goes out.
  return { facts: { ...found, timeMs: Date.now() }, packagesProblem: problem };
}

/**
 * Fetches one small file the way apt would: through the proxy that is given, in place of all that the host is configured to,
 * else with the host's own apt configuration.
 * @returns null when it arrived, else why not, in one sentence
 */
async function packagesProblem({ url, proxy }: PackagesWay): Promise<string | null> {
  // Made 0700: the configuration in it may hold the proxy's password.
  const folder = mkdtempSync(join(tmpdir(), "stackctl-facts-"));
  const configuration = join(folder, "apt.conf");
  const own = [
    'Dir::Etc::parts "/dev/null";',
    'Dir::Etc::main "/dev/null";',
    `Acquire::http::Proxy "${proxy ?? ""}";`,
  ];
  try {
    writeFileSync(configuration, proxy === null ? "" : `${own.join("\n")}\n`, { mode: 0o600 });
    const { code, stdout, stderr } = await query(
      "env",
      [
        `APT_CONFIG=${configuration}`,
        "/usr/lib/apt/apt-helper",
        ...["Acquire::Retries=0", "Acquire::http::Timeout=10", "Acquire::https::Timeout=10"].flatMap(
          (option) => ["-o", option],
        ),
        // Its own user could not write into this folder.
        ...["-o", "APT::Sandbox::User=root"],
        ...["download-file", url, join(folder, "file")],
      ],
      20_000,
    );
    if (code === 0) return null;
    const output = `${stdout}${stderr}`;
    const { kind, text } = problemOf(output);
    // A mirror that has not even its own index is the wrong one, not one that lags behind.
    if (kind === "package_outdated") return `the mirror has no ${url}`;
    if (kind !== "other") return text;
    const last = output.trim().split("\n").at(-1) ?? "";
    return `${url} was not fetched: ${last === "" ? "no reason given" : last.slice(0, 200)}`;
  } catch (error) {
    if (error instanceof StackctlError && error.code === "command_timeout")
      return `${url} did not arrive within 20 s`;
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
