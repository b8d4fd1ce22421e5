import { InvalidArgumentError, type Command } from "commander";
import { followLog } from "../follow-log.ts";
import { sinceMs } from "../since.ts";
import { shared, withServer } from "./command.ts";

/** Lines of the past unless it is said how many; with a time, as many as there may be. */
const usual = 50;
const most = 1000;

interface Options {
  readonly follow?: boolean;
  readonly since?: string;
  readonly lines?: number;
}

/** `logs SERVICE [HOST]`: what a service has said, from all hosts that have it, by time; exit 1 when no host could be read. */
export function addLogs(program: Command): void {
  program
    .command("logs")
    .description("what a service has said, of all hosts that have it, by time")
    .argument("<service>", "such as memcached, chrony or docker; agent: stackctl's own on the hosts")
    .argument("[host]", "only of this host")
    .option("-f, --follow", "go on with lines as they come")
    .option("--since <time>", "from then on, such as 10m, 2h, 14:02 or 2026-01-31T14:02")
    .option(
      "-n, --lines <n>",
      `how many of the last lines, at most ${String(most)} (default: ${String(usual)}, with --since ${String(most)})`,
      linesOf,
    )
    .action(
      async (
        service: string,
        host: string | undefined,
        { follow = false, since, lines }: Options,
        command: Command,
      ) => {
        const { place, json } = shared(command);
        const asked = {
          service,
          host: host ?? null,
          lines: lines ?? (since === undefined ? usual : most),
          sinceUs: since === undefined ? null : sinceMs(since, Date.now()) * 1000,
          follow,
        };
        process.exitCode = await withServer(place, (session) => followLog(session, asked, json));
      },
    );
}

function linesOf(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > most)
    throw new InvalidArgumentError(`a number from 0 to ${String(most)} is needed`);
  return value;
}
