import { statSync } from "node:fs";
import { StackctlError } from "@stackctl/protocol";
import { change } from "./command.ts";
import { isMissing, readOrNull } from "./files.ts";
import type { Packages } from "./host.ts";

const statusFile = "/var/lib/dpkg/status";
const installMinutes = 20;

/** What dpkg says of a package. */
export interface DpkgEntry {
  readonly version: string;
  /** The third word of `Status`, such as `installed` or `half-configured`. */
  readonly state: string;
}

/** Every package that dpkg's status file names (dpkg(1), deb822(5)). */
export function parseStatus(text: string): Map<string, DpkgEntry> {
  const entries = new Map<string, DpkgEntry>();
  for (const block of text.split("\n\n")) {
    const name = /^Package: (.*)$/m.exec(block)?.[1];
    const state = /^Status: \S+ \S+ (\S+)$/m.exec(block)?.[1];
    if (name === undefined || state === undefined) continue;
    entries.set(name, { version: /^Version: (.*)$/m.exec(block)?.[1] ?? "", state });
  }
  return entries;
}

/** Packages by dpkg and apt. */
export function linuxPackages(): Packages {
  let cached: { key: string; entries: Map<string, DpkgEntry> } | null = null;
  const entries = (): Map<string, DpkgEntry> => {
    const { mtimeMs, size, ino } = statSync(statusFile);
    const key = `${String(mtimeMs)} ${String(size)} ${String(ino)}`;
    if (cached?.key !== key) cached = { key, entries: parseStatus(readOrNull(statusFile) ?? "") };
    return cached.entries;
  };
  const broken = (): boolean =>
    [...entries().values()].some(({ state }) =>
      ["half-installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending"].includes(
        state,
      ),
    );
  const apt = async (args: readonly string[]): Promise<void> => {
    const options = [
      "-q",
      "-y",
      "-o",
      "DPkg::Lock::Timeout=120",
      "-o",
      "Dpkg::Options::=--force-confdef",
      "-o",
      "Dpkg::Options::=--force-confold",
      "-o",
      "Acquire::Retries=1",
    ];
    await change("apt", ["apt-get", ...options, ...args], installMinutes * 60_000).catch((error: unknown) => {
      throw classify(error);
    });
  };
  return {
    installed: (name) => {
      const entry = entries().get(name);
      return entry?.state === "installed" ? entry.version : null;
    },
    install: async (names) => {
      if (broken())
        await change(
          "apt",
          ["dpkg", "--configure", "-a", "--force-confdef", "--force-confold"],
          installMinutes * 60_000,
        );
      if (listsAreStale()) await apt(["update", "--error-on=any"]);
      const install = ["install", "--no-install-recommends", "--", ...names];
      try {
        await apt(install);
      } catch (error) {
        // Lists that name a version which the mirror has replaced since look just like an unknown package.
        if (!(error instanceof StackctlError) || error.code !== "package_unavailable") throw error;
        await apt(["update", "--error-on=any"]);
        await apt(install);
      }
    },
    purge: async (names) => {
      const there = names.filter((name) => entries().has(name));
      if (broken()) await change("apt", ["dpkg", "--configure", "-a"], installMinutes * 60_000);
      if (there.length > 0) await apt(["purge", "--", ...there]);
    },
  };
}

/** True when the sources were changed after the lists were fetched, or there are no lists. */
function listsAreStale(): boolean {
  const lists = changed("/var/lib/apt/lists");
  const fetched = changed("/var/cache/apt/pkgcache.bin") ?? lists;
  if (fetched === null) return true;
  const sources = [
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d",
    "/etc/apt/sources.list.d/stackctl.sources",
  ].map(changed);
  return sources.some((each) => each !== null && each > fetched);
}

function changed(path: string): number | null {
  try {
    return statSync(path).mtimeMs;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** The same failure with the code and the remedy that its text stands for. */
export function classify(error: unknown): unknown {
  if (!(error instanceof StackctlError) || error.code !== "command_failed") return error;
  const text = error.details.command?.stderr ?? error.message;
  const as = (
    code: "package_unavailable" | "packages_unreachable" | "disk_full",
    message: string,
    remedy: string,
  ): StackctlError =>
    new StackctlError(code, message, {
      retryable: true,
      details: { ...error.details, remedy },
      cause: error,
    });
  const named = /(?:Unable to locate package|Package '?)\s*([a-z0-9][a-z0-9+.-]*)/.exec(text)?.[1];
  if (/No space left on device|not enough free disk space|don't have enough free space/i.test(text))
    return as("disk_full", "no room to install packages", "make room: df -h / /var");
  if (/\b407\b/.test(text))
    return as(
      "packages_unreachable",
      "the proxy refuses the password",
      "stackctl secret set packages-proxy-password",
    );
  if (
    /Could not connect|Connection refused|Unable to connect|Could not resolve|Temporary failure resolving|Connection timed out|Network is unreachable|connection failed/i.test(
      text,
    )
  ) {
    return as(
      "packages_unreachable",
      `packages are not reached: ${firstProblem(text)}`,
      "is packages.proxy or packages.mirror in cloud.yaml right and up? then: stackctl preflight",
    );
  }
  if (/Unable to locate package|has no installation candidate/.test(text)) {
    return as(
      "package_unavailable",
      `the mirror has no package ${named ?? "of that name"}`,
      "is packages.mirror a full mirror of Debian 12?",
    );
  }
  if (/404\s+Not Found/.test(text))
    return as(
      "package_unavailable",
      `the mirror has not what its lists name: ${firstProblem(text)}`,
      "is packages.mirror in step?",
    );
  return error;
}

function firstProblem(text: string): string {
  const line =
    text
      .split("\n")
      .find((each) =>
        /Could not|Connection|Unable to connect|Temporary failure|404|unreachable/i.test(each),
      ) ?? "";
  return line
    .replace(/^[EW]:\s*/, "")
    .trim()
    .slice(0, 200);
}
