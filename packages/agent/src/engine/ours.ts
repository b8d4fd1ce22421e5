import type { Host } from "../host/host.ts";

/** Names that a file of the agent's state lists, one a line: what it made and was not there before, and takes away again. */
export function readOurs({ files }: Host, list: string): string[] {
  return (files.read(list) ?? "").split("\n").filter((name) => name !== "");
}

/** Keeps the list; without a name there is no file. */
export function keepOurs({ files }: Host, list: string, names: readonly string[]): void {
  if (names.length === 0) files.remove(list);
  else files.write(list, `${[...new Set(names)].toSorted().join("\n")}\n`, 0o600);
}
