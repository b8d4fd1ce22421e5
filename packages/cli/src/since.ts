import { StackctlError } from "@stackctl/protocol";

const units = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * The time that a person means, Unix milliseconds: `10m` ago, a time of today such as `14:02`, or a date with or without a
 * time, all in the operator's zone. Pure but for the zone.
 * @throws StackctlError `usage`
 */
export function sinceMs(text: string, nowMs: number): number {
  const [, digits = "", unit = ""] = /^([0-9]{1,6})([smhd])$/.exec(text) ?? [];
  if (digits !== "") return Math.max(0, nowMs - Number(digits) * units[unit as keyof typeof units]);
  const [, hours, minutes, seconds = "0"] = /^([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?$/.exec(text) ?? [];
  if (hours !== undefined && Number(hours) < 24 && Number(minutes) < 60 && Number(seconds) < 60)
    return new Date(nowMs).setHours(Number(hours), Number(minutes), Number(seconds), 0);
  // A date alone would be read as UTC.
  const day = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text);
  const at = /^[0-9]{4}-[0-9]{2}-[0-9]{2}/.test(text) ? Date.parse(day ? `${text}T00:00` : text) : Number.NaN;
  if (!Number.isNaN(at) && at >= 0) return at;
  throw new StackctlError("usage", `${text} is no time`, {
    details: { expected: "such as 10m, 2h, 14:02 or 2026-01-31T14:02", found: text, remedy: "--since 10m" },
  });
}
