import { factsScript, parseFacts, StackctlError, type Facts } from "@stackctl/protocol";
import type { SshSession } from "./ssh.ts";

/**
 * What a host is, over SSH and read-only, asked as its agent would ask.
 * @param names what it should be able to resolve
 * @throws StackctlError `command_failed` when it is no Linux that we know
 */
export async function sshFacts(session: SshSession, names: readonly string[]): Promise<Facts> {
  const { stdout, stderr } = await session.run(["sh", "-c", factsScript, "facts", ...names], {
    asRoot: true,
    timeoutMs: 25_000,
  });
  try {
    return parseFacts(stdout);
  } catch (cause) {
    throw new StackctlError(
      "command_failed",
      `${session.host} does not look like a Debian: ${stderr.trim().slice(0, 200)}`,
      {
        details: { host: session.host, expected: "Debian 12" },
        cause,
      },
    );
  }
}

/** How packages are reached from a host that has no agent yet. */
export interface PackagesWay {
  readonly url: string;
  readonly proxyUrl: string | null;
  readonly proxyUser: string | null;
  readonly proxyPassword: string | null;
}

/**
 * Fetches one small file the way apt will, to prove mirror and proxy before anything is installed. The proxy's password
 * goes over standard input into a file of root's that is removed again.
 * @returns null when it arrived, else why not
 */
export async function sshPackagesProblem(session: SshSession, way: PackagesWay): Promise<string | null> {
  const script = [
    "umask 077",
    "d=$(mktemp -d)",
    "trap 'rm -rf \"$d\"' EXIT",
    'cat > "$d/conf"',
    'chown _apt "$d" 2>/dev/null',
    'APT_CONFIG="$d/conf" timeout 20 /usr/lib/apt/apt-helper download-file "$1" "$d/file" 2>&1',
  ].join("\n");
  const { code, stdout, stderr } = await session.run(["sh", "-c", script, "probe", way.url], {
    asRoot: true,
    timeoutMs: 30_000,
    input: aptConfiguration(way),
  });
  if (code === 0) return null;
  return packagesSentence(`${stdout}${stderr}`, way);
}

function aptConfiguration({ proxyUrl, proxyUser, proxyPassword }: PackagesWay): string {
  const lines = ['Acquire::Retries "0";', 'Acquire::http::Timeout "10";'];
  if (proxyUrl !== null) {
    // What the host is configured to now must not speak in place of what the file says.
    lines.push('Dir::Etc::parts "/dev/null";', 'Dir::Etc::main "/dev/null";');
    const url = new URL(proxyUrl);
    if (proxyUser !== null) url.username = proxyUser;
    if (proxyPassword !== null) url.password = proxyPassword;
    lines.push(`Acquire::http::Proxy "${url.toString()}";`);
  }
  return `${lines.join("\n")}\n`;
}

/** One sentence of what apt says; the password cannot be in it, for apt prints no proxy URL. */
function packagesSentence(text: string, { url, proxyUrl }: PackagesWay): string {
  if (/\b407\b/.test(text)) return `the proxy ${proxyUrl ?? ""} refuses the password`;
  if (/\b404\b/.test(text)) return `the mirror has no ${url}`;
  if (proxyUrl !== null && /Could not connect|Connection refused|Unable to connect|timed out/i.test(text))
    return `the proxy ${proxyUrl} is not reached`;
  const last =
    text
      .trim()
      .split("\n")
      .findLast((line) => line.startsWith("E:") || line.includes("Err")) ?? "no answer in time";
  return `${url} is not reached: ${last.slice(0, 160)}`;
}
