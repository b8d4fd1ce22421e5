import type { ImageList, ImagePruned } from "@stackctl/protocol";
import { count, moment, oneLine, paint, table } from "./text.ts";

type Image = ImageList["images"][number];

/** Every image in a line. Pure. */
export function renderImages({ registry, images }: ImageList, nowMs: number): string {
  const head = registry.outside
    ? `registry ${registry.name} (outside), images are built on ${registry.primary}`
    : `registry ${registry.name}, the first one is on ${registry.primary}`;
  const rows = images.map((image) => [
    image.name,
    image.state === "built" ? image.recipe.slice(0, 12) : paint("yellow", image.state.toUpperCase()),
    image.builtAt === null ? "-" : moment(image.builtAt, nowMs),
    image.digest === null ? "-" : image.digest.slice("sha256:".length, "sha256:".length + 12),
    image.sizeBytes === null ? "?" : megabytes(image.sizeBytes),
    registry.outside ? "outside" : image.registries.length === 0 ? "-" : image.registries.join(" "),
    image.usedBy.map(usedBy).join(", "),
  ]);
  const open = images.filter(({ state }) => state !== "built").map(({ name }) => name);
  return [
    head,
    "",
    ...table([["image", "recipe", "built", "digest", "size", "in the registries of", "used by"], ...rows]),
    ...(open.length === 0
      ? []
      : ["", `${open.join(", ")}: not built as it should be: stackctl apply controller`]),
  ].join("\n");
}

/** What was taken away, host by host, and how much room that made. Pure. */
export function renderPruned({ hosts }: ImagePruned): string {
  const total = hosts.reduce((sum, { freedBytes }) => sum + freedBytes.docker + freedBytes.registry, 0);
  const rows = hosts.map(({ host, outcome, why, removed, freedBytes }) => [
    host,
    outcome === "failed" ? paint("red", outcome) : outcome,
    count(removed.length, "image"),
    `registry ${megabytes(freedBytes.registry)}, docker ${megabytes(freedBytes.docker)}`,
    oneLine(why ?? ""),
  ]);
  const failed = hosts.some(({ outcome }) => outcome === "failed" || outcome === "skipped");
  return [
    `${megabytes(total)} freed.`,
    ...table(rows),
    ...(failed ? ["Try the rest again with: stackctl image prune"] : []),
  ].join("\n");
}

function usedBy({ service, hosts }: Image["usedBy"][number]): string {
  return hosts.length === 1 ? `${service}@${hosts[0] ?? ""}` : `${service} on ${String(hosts.length)}`;
}

function megabytes(bytes: number): string {
  return bytes > 0 && bytes < 1e6 ? "<1 MB" : `${String(Math.round(bytes / 1e6))} MB`;
}
