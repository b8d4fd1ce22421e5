import { hostPaths, StackctlError, type ContainerJobSpec } from "@stackctl/protocol";
import type { Behaviour, Context, State } from "../engine/resource.ts";
import { ensureImage } from "./container.ts";

/**
 * Keeps a database at the schema of an image, by running the image's own program. The program alone knows how far that
 * is, and is slow to ask; what it left when it ended well is remembered with the image, and compared with what the
 * database says. Another image, another version in the database, or nothing remembered: it is run, and a program that
 * has nothing to do changes nothing.
 */
export const containerJob: Behaviour<"container-job"> = {
  read: async ({ host }, { schema: { socket, database } }): Promise<State> => ({
    schema: await host.database.schema(socket, database),
  }),
  desired: ({ image }, { host }, name): State => ({
    schema: remembered(host.files.read(record(name)), image.id) ?? "what its image asks for",
  }),
  async apply(context, spec, _changes, name) {
    const { host, doing } = context;
    const { socket, database } = spec.schema;
    await ensureImage(context, spec, name);
    doing(`running ${name}`);
    await runToEnd(context, spec, name, null);
    const schema = await host.database.schema(socket, database);
    if (schema === null)
      throw new StackctlError("container_failed", `${name} ended well and left no schema in ${database}`);
    host.files.write(record(name), `${spec.image.id} ${schema}\n`, 0o600);
  },
  async remove({ host }, _spec, name) {
    await host.docker.remove(name);
    host.files.remove(record(name));
  },
  owns: (_spec, name) => [`container:${name}`],
  restarts: () => [],
  disrupts: () => null,
  watch: () => ({}),
};

/**
 * Runs a container that does one thing and ends.
 * @param input what it finds on its standard input: the way for what nobody else may see
 * @throws StackctlError `container_failed` with its last line, `command_timeout`
 */
export async function runToEnd(
  { host }: Context,
  { image, command, user, mounts, tmpfs, seconds }: Omit<ContainerJobSpec, "schema">,
  name: string,
  input: string | null,
): Promise<void> {
  const made = {
    image: image.id,
    command,
    user,
    mounts,
    tmpfs,
    capabilities: [],
    environment: {},
    labels: {},
  };
  const { code, output } = await host.docker.run(name, made, input, seconds);
  if (code === 0) return;
  throw new StackctlError("container_failed", `${name} ended with ${String(code)}: ${telling(output)}`, {
    retryable: true,
    details: { command: { argv: command, code, stderr: output }, remedy: `stackctl logs ${name}` },
  });
}

/** The version that an image's program left; null: it was another image's, or none was run yet. */
function remembered(text: string | null, image: string): string | null {
  return text?.startsWith(`${image} `) === true ? text.slice(image.length + 1).trim() : null;
}

function record(name: string): string {
  return `${hostPaths.state}/jobs/${name}`;
}

/** The line that says most: the last one of what a Python program says when it fails, but for what eventlet adds at its end. */
function telling(output: string): string {
  const lines = output.split("\n").filter((line) => line.trim() !== "" && !line.startsWith(" "));
  const error = lines.findLast(
    (line) => /(Error|Exception|ERROR|CRITICAL)\b/.test(line) && !line.includes("getcurrent"),
  );
  return (error ?? lines.at(-1) ?? "it said nothing").trim().slice(0, 300);
}
