import type { PreflightRow } from "@stackctl/protocol";
import { clip, count, oneLine, paint, table, width } from "./text.ts";

/** What preflight found: a row for each host, then each problem with what to do. Pure. */
export function renderPreflight(rows: readonly PreflightRow[]): string {
  const cell = (value: string | number | null): string => (value === null ? "?" : String(value));
  const drawn = (nameWidth: number): string[] =>
    table([
      ["", "ssh", "os", "cpu", "mem", "free", "disks", "nics", "kvm", "clock", "time", "apt"],
      ...rows.map((row) =>
        row.ssh === "FAIL"
          ? [clip(row.host, nameWidth), paint("red", "FAIL"), "", "", "", "", "", "", "", "", "", ""]
          : [
              clip(row.host, nameWidth),
              row.via === "agent" ? "agent" : row.ssh,
              cell(row.os),
              cell(row.cores),
              size(row.memoryMiB),
              size(row.diskMiB),
              row.disks === null ? "?" : `${String(row.disks.empty)}/${String(row.disks.all)}`,
              cell(row.nics),
              kvm(row.kvm),
              row.clockSeconds === null
                ? "?"
                : `${row.clockSeconds < 0 ? "" : "+"}${String(row.clockSeconds)} s`,
              cell(row.time),
              cell(row.packages),
            ],
      ),
    ]);
  // A long name is cut to what the line has room for; a problem of the host tells the whole.
  const longest = Math.max(0, ...rows.map(({ host }) => host.length));
  const beyond = Math.max(0, ...drawn(longest).map((line) => line.length - width));
  const problems = rows.flatMap((row) => row.problems);
  const errors = problems.filter(({ severity }) => severity === "error").length;
  const warnings = problems.length - errors;
  return [
    ...drawn(longest - beyond),
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

/** Why there is none is told as a problem. */
function kvm(text: string | null): string {
  return text === null ? "?" : (/^yes, (vmx|svm)$/.exec(text)?.[1] ?? /^(yes|no)/.exec(text)?.[0] ?? text);
}

function size(mib: number | null): string {
  return mib === null
    ? "?"
    : mib >= 1024 * 1024
      ? `${(mib / 1024 / 1024).toFixed(1)} TB`
      : `${String(Math.round(mib / 1024))} GiB`;
}
