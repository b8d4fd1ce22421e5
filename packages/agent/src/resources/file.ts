import type { FileSpec } from "@stackctl/protocol";
import type { Behaviour, Context, State } from "../engine/resource.ts";
import { ourRoot, removeUpTo } from "./aside.ts";

/** Keeps one file as it should be. Of a file with a secret in it only is said whether it is right. */
export const file: Behaviour<"file"> = {
  read(context, spec): State {
    const { files } = context.host;
    const text = files.read(spec.path);
    const stat = files.stat(spec.path);
    const shown =
      !hasSecret(spec) || text === null ? text : text === textOf(context, spec) ? "current" : "other";
    return {
      content: shown,
      mode: modeOf(stat?.mode),
      owner: stat === null ? null : `${String(stat.uid)}:${String(stat.gid)}`,
    };
  },
  desired: (spec, context): State => ({
    content: hasSecret(spec) ? "current" : textOf(context, spec),
    mode: spec.mode,
    owner: `${String(spec.owner)}:${String(spec.group)}`,
  }),
  apply(context, spec) {
    const { path, owner, group, mode } = spec;
    context.host.files.write(path, textOf(context, spec), Number.parseInt(mode, 8), {
      uid: owner,
      gid: group,
    });
    return Promise.resolve();
  },
  remove({ host }, { path }) {
    removeUpTo(host, path, ourRoot(path) ?? path, "file");
    return Promise.resolve();
  },
  owns: ({ path }) => [`path:${path}`],
  restarts: () => [],
  disrupts: () => null,
  watch: ({ path }) => ({ files: [path] }),
};

function hasSecret({ content }: FileSpec): boolean {
  return content.some((part) => "secret" in part);
}

function textOf({ reveal }: Context, { content }: FileSpec): string {
  return content.map((part) => ("secret" in part ? reveal(part.secret) : part.text)).join("");
}

/** As the spec writes it; null: there is none. */
export function modeOf(mode: number | undefined): string | null {
  return mode === undefined ? null : mode.toString(8).padStart(4, "0");
}
