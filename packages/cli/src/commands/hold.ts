import { userInfo } from "node:os";
import type { Command } from "commander";
import { StackctlError } from "@stackctl/protocol";
import { renderHold, renderRelease } from "../output/hold.ts";
import { print, shared, withServer } from "./command.ts";

const units = { m: 60, h: 3600, d: 86_400 } as const;

/** `hold TARGET --for TIME --why TEXT` and `release TARGET`: leaves something alone for a while, and ends that early. */
export function addHold(program: Command): void {
  program
    .command("hold")
    .description("leave a host, a service, or a service of a host alone for a while")
    .argument("<target>", "such as compute1, chrony or chrony@compute1")
    .requiredOption("--for <time>", "how long, such as 30m, 2h or 1d")
    .requiredOption("--why <text>", "what for, for everybody who looks")
    .action(async (target: string, options: { for: string; why: string }, command: Command) => {
      const { place, json } = shared(command);
      const request = { target, seconds: secondsOf(options.for), why: options.why, by: userInfo().username };
      const answer = await withServer(place, (session) =>
        session.call("hold", request, "telling the agents"),
      );
      print(json, answer, ({ hold, untold }) => renderHold(hold, untold, Date.now()));
    });
  program
    .command("release")
    .description("end a hold before its time")
    .argument("<target>", "as it was held; stackctl status shows it")
    .action(async (target: string, _options: unknown, command: Command) => {
      const { place, json } = shared(command);
      const answer = await withServer(place, (session) =>
        session.call("release", { target, by: userInfo().username }, "telling the agents"),
      );
      print(json, answer, ({ hold, untold }) => renderRelease(hold, untold));
    });
}

/** @throws StackctlError `usage` */
function secondsOf(text: string): number {
  const [, digits = "", unit = ""] = /^([1-9][0-9]{0,4})([mhd])$/.exec(text) ?? [];
  const seconds = Number(digits) * units[unit as keyof typeof units];
  if (digits !== "" && seconds <= 30 * units.d) return seconds;
  throw new StackctlError("usage", `${text} is no time to hold for`, {
    details: { expected: "such as 30m, 2h or 1d, at most 30d", found: text, remedy: "--for 2h" },
  });
}
