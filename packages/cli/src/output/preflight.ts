import type { PreflightRow } from "@stackctl/protocol";
import { count, oneLine, paint, table } from "./text.ts";

/** What preflight found: a row for each host, then each problem with what to do. Pure. */
export function renderPreflight(rows: readonly PreflightRow[]): string {
  const cell = (value: string | number | null): string => (value === null ? "?" : String(value));
  const lines = table([
    ["", "ssh", "os", "cpu", "mem", "disk free", "nics", "kvm", "clock", "packages"],
    ...rows.map((row) =>
      row.ssh === "FAIL"
        ? [row.host, paint("red", "FAIL"), "", "", "", "", "", "", "", ""]
        : [
            row.host,
            row.via === "agent" ? "agent" : row.ssh,
            cell(row.os),
            cell(row.cores),
            size(row.memoryMiB),
            size(row.diskMiB),
            cell(row.nics),
            cell(row.kvm),
            row.clockSeconds === null
              ? "?"
              : `${row.clockSeconds < 0 ? "" : "+"}${String(row.clockSeconds)} s`,
            cell(row.packages),
          ],
    ),
  ]);
  const problems = rows.flatMap((row) => row.problems);
  const errors = problems.filter(({ severity }) => severity === "error").length;
  const warnings = problems.length - errors;
  return [
    ...lines,
    "",
    ...problems.map(
      ({ severity, text, remedy }) =>
        `${paint(severity === "error" ? "red" : "yellow", oneLine(text))}${/[.?!]$/.test(text) ? "" : "."} ${remedy}`,
    ),
    ...(problems.length === 0
      ? ["All is well. Next: stackctl apply aio"]
      : [`${count(errors, "problem")}, ${count(warnings, "warning")}.`]),
  ].join("\n");
}

function size(mib: number | null): string {
  return mib === null
    ? "?"
    : mib >= 1024 * 1024
      ? `${(mib / 1024 / 1024).toFixed(1)} TB`
      : `${String(Math.round(mib / 1024))} GiB`;
}
