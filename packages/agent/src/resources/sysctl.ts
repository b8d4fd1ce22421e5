import { hostPaths, type SysctlSpec } from "@stackctl/protocol";
import { fileState, fileStateWanted, type Behaviour, type Context, type State } from "../engine/resource.ts";

const mode = 0o644;

/** What the kernel had before us, by parameter: put back once a parameter is asked for no more. */
type Former = Readonly<Record<string, string>>;

/** Keeps kernel parameters as they should be, live and in a file of their own for the next boot. */
export const sysctl: Behaviour<"sysctl"> = {
  read: ({ host }, { values }, name): State => ({
    ...fileState(host, fileOf(name)),
    ...Object.fromEntries(Object.keys(values).map((key) => [key, host.system.kernelParameter(key)])),
  }),
  desired: (spec): State => ({ ...fileStateWanted(render(spec), mode), ...spec.values }),
  apply(context, { values }, changes, name) {
    const { host } = context;
    const former = readFormer(context, name);
    const fields = new Set(changes.map(({ field }) => field));
    const dropped = Object.keys(former).filter((key) => !(key in values));
    const news = Object.keys(values).filter((key) => !(key in former));
    putBack(context, former, dropped);
    const noted = Object.fromEntries([
      ...Object.entries(former).filter(([key]) => key in values),
      ...news.flatMap((key) => {
        const live = host.system.kernelParameter(key);
        return live === null ? [] : [[key, live] as const];
      }),
    ]);
    // Noted before the first of them is set: after that nobody knows what it was.
    if (dropped.length > 0 || news.length > 0) host.files.write(noteOf(name), JSON.stringify(noted), 0o600);
    for (const [key, value] of Object.entries(values))
      if (fields.has(key)) host.system.setKernelParameter(key, value);
    // Last: a value that the kernel refuses must not come back at each boot.
    if (["content", "mode", "owner"].some((field) => fields.has(field)))
      host.files.write(fileOf(name), render({ values }), mode);
    return Promise.resolve();
  },
  remove(context, _lastSpec, name, spared) {
    const { files } = context.host;
    const former = readFormer(context, name);
    files.remove(fileOf(name));
    putBack(
      context,
      former,
      Object.keys(former).filter((key) => !spared.has(parameter(key))),
    );
    files.remove(noteOf(name));
    return Promise.resolve();
  },
  owns: ({ values }, name) => [`path:${fileOf(name)}`, ...Object.keys(values).map(parameter)],
  restarts: () => [],
  disrupts: () => null,
  // inotify tells nothing of /proc: a live value that somebody sets is found by the slow pass.
  watch: (_spec, name) => ({ files: [fileOf(name)] }),
};

function parameter(key: string): string {
  return `sysctl:${key}`;
}

/** After Debian's own files, so that this one wins (sysctl.d(5)). */
function fileOf(name: string): string {
  return `/etc/sysctl.d/90-stackctl-${name}.conf`;
}

function noteOf(name: string): string {
  return `${hostPaths.state}/sysctl-${name}.former`;
}

function readFormer({ host }: Context, name: string): Former {
  return JSON.parse(host.files.read(noteOf(name)) ?? "{}") as Former;
}

function putBack({ host: { system } }: Context, former: Former, keys: readonly string[]): void {
  for (const key of keys) {
    const value = former[key];
    // One that is gone, such as that of an interface, cannot be put back and need not be.
    const live = system.kernelParameter(key);
    if (value !== undefined && live !== null && live !== value) system.setKernelParameter(key, value);
  }
}

function render({ values }: SysctlSpec): string {
  return [
    "# Managed by stackctl. Local edits are reverted.",
    ...Object.entries(values)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => `${key} = ${value}`),
    "",
  ].join("\n");
}
