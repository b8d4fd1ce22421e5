import type { ConfigView } from "@stackctl/protocol";
import { count } from "./text.ts";
import { valueLines } from "./value.ts";

/** The cloud's values, a line each, in the order of the file's reference. Pure. */
export function renderConfig({ cloud, file, values }: ConfigView): string {
  const written = values.filter(({ origin }) => origin !== "default").length;
  return [
    `${cloud}, as ${file} says it: ${count(written, "value")} of it, ${String(values.length - written)} by default`,
    "",
    ...valueLines(
      values.map(({ key, value, origin }) => ({ name: key, value, origins: [origin] })),
      "",
    ),
  ].join("\n");
}
