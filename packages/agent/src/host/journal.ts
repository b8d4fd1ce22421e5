import { spawn } from "node:child_process";
import { maxLogTextChars, StackctlError, type LogLine, type LogSource } from "@stackctl/protocol";
import type { Journal } from "./host.ts";
import { environment, lastLines } from "./query.ts";

/** A longer entry is counted and not read: nothing that writes to a journal may fill the agent's memory. */
const maxEntryBytes = 1 << 20;
const shown = ["MESSAGE", "CONTAINER_NAME", "SYSLOG_IDENTIFIER", "_COMM"];

/** journald's journal, read by journalctl(1): systemd 252. */
export function linuxJournal(): Journal {
  return {
    read: async ({ sources, lines, sinceUs, follow }, reader, signal) => {
      const matches = matchesOf(sources);
      const base = ["--output=json", "--all", "--no-pager", "--quiet", `--output-fields=${shown.join(",")}`];
      const begunUs = Date.now() * 1000;
      const past: LogLine[] = [];
      const newest: { cursor: string | null } = { cursor: null };
      if (lines > 0) {
        const since = sinceUs === null ? [] : [`--since=${instant(sinceUs)}`];
        // With `--since` alone, journalctl gives the first lines of that time instead of the last.
        const args = [...base, "--reverse", `--lines=${String(lines)}`, ...since, ...matches];
        await journalctl(args, signal, (bytes) => {
          if (bytes === null) {
            reader.dropped();
            return;
          }
          const entry = parseEntry(bytes.toString("utf8"));
          newest.cursor ??= entry.cursor;
          past.push(entry.line);
        });
      }
      for (const line of past.reverse()) reader.entry(line);
      reader.caughtUp();
      if (!follow || signal.aborted) return;
      const { cursor } = newest;
      const from = cursor === null ? `--since=${instant(begunUs)}` : `--after-cursor=${cursor}`;
      await journalctl([...base, "--follow", "--no-tail", from, ...matches], signal, (bytes) => {
        if (bytes === null || !reader.room()) reader.dropped();
        else reader.entry(parseEntry(bytes.toString("utf8")).line);
      });
    },
  };
}

/**
 * journalctl's arguments for these sources: what they say, and what systemd says of their units. Fields that begin with
 * `_` are set by journald (systemd.journal-fields(7)); a container's name is dockerd's word.
 */
export function matchesOf(sources: readonly LogSource[]): string[] {
  return sources.flatMap((source, index) => [
    ...(index === 0 ? [] : ["+"]),
    ...(source.kind === "container"
      ? ["_SYSTEMD_UNIT=docker.service", `CONTAINER_NAME=${source.name}`]
      : [
          `_SYSTEMD_UNIT=${source.unit}`,
          ...(source.program === null ? [] : [`SYSLOG_IDENTIFIER=${source.program}`]),
        ]),
    "+",
    "_PID=1",
    `UNIT=${source.unit}`,
  ]);
}

/**
 * One entry as `journalctl --output=json` prints it; fields that are no printable text come as lists of bytes.
 * @throws StackctlError `command_failed` when it is not of that form
 */
export function parseEntry(text: string): { readonly line: LogLine; readonly cursor: string } {
  const fields = parseObject(text);
  const atUs = Number(fields["__REALTIME_TIMESTAMP"]);
  const cursor = fields["__CURSOR"];
  if (!Number.isSafeInteger(atUs) || atUs < 0 || typeof cursor !== "string") throw strange(text);
  const from = ["CONTAINER_NAME", "SYSLOG_IDENTIFIER", "_COMM"].map((name) => textOf(fields[name]));
  const said = textOf(fields["MESSAGE"]);
  return {
    line: {
      atUs,
      from: (from.find((name) => name !== "") ?? "-").slice(0, 200),
      text: said.length > maxLogTextChars ? `${said.slice(0, maxLogTextChars)} ... (cut)` : said,
    },
    cursor,
  };
}

/**
 * Hands on each line of a stream of bytes, without its line feed; null in place of one that is longer than `maxBytes`,
 * of which no more than that is kept meanwhile.
 */
export function lineSplitter(
  maxBytes: number,
  line: (bytes: Buffer | null) => void,
): (chunk: Buffer) => void {
  let parts: Buffer[] = [];
  let size = 0;
  const keep = (part: Buffer): void => {
    size += part.length;
    if (size > maxBytes) parts = [];
    else if (part.length > 0) parts.push(part);
  };
  return (chunk) => {
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      keep(chunk.subarray(from, end));
      const whole = size > maxBytes ? null : Buffer.concat(parts);
      [parts, size, from] = [[], 0, end + 1];
      line(whole);
    }
    keep(chunk.subarray(from));
  };
}

/** Runs journalctl to its end, or until the signal ends it. @throws StackctlError `command_failed` */
function journalctl(
  args: readonly string[],
  signal: AbortSignal,
  line: (bytes: Buffer | null) => void,
): Promise<void> {
  const argv = ["journalctl", ...args];
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const child = spawn("journalctl", args, {
      env: environment,
      cwd: "/",
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stderr = "";
    let failed: unknown = null;
    const end = (): void => {
      child.kill("SIGKILL");
    };
    signal.addEventListener("abort", end, { once: true });
    const take = lineSplitter(maxEntryBytes, line);
    child.stdout.on("data", (chunk: Buffer) => {
      if (failed !== null || signal.aborted) return;
      try {
        take(chunk);
      } catch (error) {
        failed = error;
        end();
      }
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr = (stderr + text).slice(-4000)));
    const close = (code: number | null, cause?: Error): void => {
      signal.removeEventListener("abort", end);
      if (failed !== null) reject(failed instanceof Error ? failed : new Error("an entry was not read"));
      else if (code === 0 || signal.aborted) resolve();
      else
        reject(
          new StackctlError(
            "command_failed",
            `journalctl ended with ${String(code)}: ${cause?.message ?? lastLines(stderr)}`,
            {
              retryable: true,
              details: { command: { argv, code, stderr: lastLines(stderr) } },
              ...(cause === undefined ? {} : { cause }),
            },
          ),
        );
    };
    child.once("error", (error) => {
      close(null, error);
    });
    child.once("close", close);
  });
}

/** A time as journalctl takes it exactly (systemd.time(7)). */
function instant(us: number): string {
  const text = String(us).padStart(7, "0");
  return `@${text.slice(0, -6)}.${text.slice(-6)}`;
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw strange(text);
}

/** A field's text; of one that was set more than once, the first. */
function textOf(field: unknown): string {
  if (typeof field === "string") return field;
  if (!Array.isArray(field)) return "";
  const first: unknown = field[0];
  if (typeof first !== "number") return textOf(first);
  return Buffer.from(field.filter((byte): byte is number => typeof byte === "number")).toString("utf8");
}

function strange(text: string): StackctlError {
  return new StackctlError("command_failed", "journalctl printed something that is no entry", {
    details: { found: text.slice(0, 200) },
  });
}
