import type { Host } from "../host/host.ts";

/** Names that a file of the agent's state lists, one a line: what it made and was not there before, and takes away again. */
export function readOurs({ files }: Host, list: string): string[] {
  return (files.read(list) ?? "").split("\n").filter((name) => name !== "");
}

/** Keeps the list, unless that is what it says already; without a name there is no file. */
export function keepOurs({ files }: Host, list: string, names: readonly string[]): void {
  const text = names.length === 0 ? "" : `${[...new Set(names)].toSorted().join("\n")}\n`;
  if (text === (files.read(list) ?? "")) return;
  if (text === "") files.remove(list);
  else files.write(list, text, 0o600);
}
