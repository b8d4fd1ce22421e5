import { StackctlError, type Facts } from "@stackctl/protocol";
import type { SshSession } from "./ssh.ts";

/** Reads what a bare host is; one command, which changes nothing. Sections are told apart by a line that no file has. */
const mark = "--stackctl--";
const questions: readonly string[] = [
  "cat /etc/os-release",
  "cat /proc/meminfo",
  "nproc",
  "df -PB1048576 /var/lib",
  // /sys shows the machine's own NICs even inside a container; ip asks the host's network stack.
  "ip -o link show",
  "ip -o -4 address show",
  "cat /proc/sys/kernel/random/boot_id",
  "date +%s%3N",
  "uname -m",
  "cat /proc/sys/kernel/hostname",
  "test -c /dev/kvm && echo device; grep -m1 -ow -e vmx -e svm /proc/cpuinfo",
];

/** What a host is, over SSH and read-only. @throws StackctlError `command_failed` when it is no Linux that we know */
export async function sshFacts(session: SshSession): Promise<Facts> {
  const script = questions.map((question) => `{ ${question}; } 2>/dev/null; echo ${mark}`).join("\n");
  const { stdout, stderr } = await session.run(["sh", "-c", script], { timeoutMs: 20_000 });
  try {
    return parseFacts(stdout.split(`${mark}\n`));
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

/** Facts from the answers to the questions above, in their order. @throws Error when one is not what it should be */
export function parseFacts(sections: readonly string[]): Facts {
  const [
    release = "",
    memory = "",
    cores = "",
    disk = "",
    links = "",
    addresses = "",
    bootId = "",
    time = "",
    architecture = "",
    hostname = "",
    kvm = "",
  ] = sections;
  const field = (name: string): string => new RegExp(`^${name}="?([^"\n]*)"?$`, "m").exec(release)?.[1] ?? "";
  const number = (text: string | undefined, what: string): number => {
    const value = Number(text);
    if (text === undefined || text === "" || !Number.isFinite(value))
      throw new Error(`${what} is no number: ${String(text)}`);
    return value;
  };
  const df = disk.trim().split("\n").at(-1)?.split(/\s+/) ?? [];
  const ofLink = (name: string): string[] =>
    addresses
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter((words) => words[1] === name && words[2] === "inet")
      .map((words) => words[3]?.split("/")[0] ?? "");
  const usable = kvm.includes("device");
  return {
    hostname: hostname.trim(),
    bootId: bootId.trim(),
    os: { id: field("ID"), version: field("VERSION_ID") },
    architecture: architecture.trim(),
    cores: number(cores.trim(), "nproc"),
    memoryMiB: Math.floor(number(/^MemTotal:\s+(\d+)/m.exec(memory)?.[1], "MemTotal") / 1024),
    disk: { totalMiB: number(df[1], "size of /var/lib"), freeMiB: number(df[3], "room in /var/lib") },
    nics: links.split("\n").flatMap((line) => {
      const [, name, state] = /^\d+: ([^:@]+)[@:].* state (\S+)/.exec(line) ?? [];
      return name === undefined || name === "lo"
        ? []
        : [{ name, addresses: ofLink(name), up: state === "UP" }];
    }),
    timeMs: number(time.trim(), "date"),
    kvm: { usable, why: usable ? (/(vmx|svm)/.exec(kvm)?.[1] ?? "by /dev/kvm") : "no /dev/kvm" },
  };
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
