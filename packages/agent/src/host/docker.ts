import Engine from "dockerode";
import { StackctlError } from "@stackctl/protocol";
import type { ContainerMade, Docker, RegistryAt } from "./host.ts";
import { lastLines } from "./query.ts";

/** dockerd's socket on Debian. */
export const socketPath = "/run/docker.sock";
const pullMinutes = 30;
/** In every image that we make: the digest of its recipe. Also in what was pulled of it. */
export const recipeLabel = "stackctl.recipe";
/** The name of what a base was imported as, before anything was added to it. */
export const debootstrapName = "stackctl/debootstrap";

/** dockerd by its API (Docker Engine API v1.41, docker.io 20.10). */
export function linuxDocker(engine: Engine = new Engine({ socketPath })): Docker {
  return {
    container: (name) =>
      asked(async () => {
        const found = await orNull(engine.getContainer(name).inspect());
        if (found === null) return null;
        return { running: found.State.Running, image: found.Image, labels: found.Config.Labels };
      }),
    containers: () =>
      asked(async () => {
        const found = await engine.listContainers({ all: true });
        return found.map(({ Names, Labels }) => ({
          name: (Names[0] ?? "").replace(/^\//, ""),
          labels: Labels,
        }));
      }),
    volumes: () => asked(async () => (await engine.listVolumes()).Volumes.map(({ Name }) => Name)),
    create: (name, made) =>
      asked(async () => {
        await engine.createContainer(optionsOf(name, made));
      }),
    run: (name, made, input, seconds) =>
      asked(async () => {
        const former = engine.getContainer(name);
        if ((await orNull(former.inspect()))?.State.Running === true)
          await endOf(former, `${name}, from before,`, seconds);
        await orNull(former.remove({ force: true, v: true }));
        const container = await engine.createContainer({
          ...optionsOf(name, made),
          ...(input === null ? {} : { OpenStdin: true, StdinOnce: true, AttachStdin: true }),
        });
        const stdin =
          input === null ? null : await container.attach({ stream: true, stdin: true, hijack: true });
        try {
          await container.start();
          stdin?.end(input ?? "");
          const code = await endOf(container, name, seconds);
          const said = await container.logs({ stdout: true, stderr: true, tail: 40 });
          return { code, output: lastLines(unframed(said)) };
        } finally {
          await orNull(container.remove({ force: true, v: true }));
        }
      }),
    remove: (name) =>
      asked(async () => {
        await orNull(engine.getContainer(name).remove({ force: true, v: true }));
      }),
    image: (reference) =>
      asked(async () => {
        const found = await orNull(engine.getImage(reference).inspect());
        return found === null ? null : { id: found.Id };
      }),
    pull: (registry, name, digest, login, doing) =>
      asked(async () => {
        const reference = `${registry}/${name}@${digest}`;
        const stream = await refusedAs("image_unavailable", `${reference} cannot be pulled`, () =>
          engine.pull(reference, authorised(registry, login)),
        );
        await finished(engine, stream, `${reference} cannot be pulled`, pullMinutes, (layers) => {
          doing(`pulling ${name} ${layers}`);
        });
        return (await engine.getImage(reference).inspect()).Id;
      }),
    removeUnused: (id) =>
      asked(async () => {
        try {
          await engine.getImage(id).remove({ force: false });
        } catch (error) {
          // 404: it is gone; 409: a container, or an image on top of it, uses it.
          if (statusOf(error) !== 404 && statusOf(error) !== 409) throw error;
        }
      }),
    ownImages: () =>
      asked(async () => {
        const made = await engine.listImages({ filters: { label: [recipeLabel] } });
        // What debootstrap made has no label: it is imported, and named by its recipe.
        const below = await engine.listImages({ filters: { reference: [debootstrapName] } });
        return [...made, ...below].map(({ Id, RepoTags, RepoDigests, Labels }) => ({
          id: Id,
          recipe:
            (Labels as Record<string, string> | null)?.[recipeLabel] ??
            RepoTags?.[0]?.split(":").at(-1) ??
            "",
          references: [...namesOf(RepoTags), ...namesOf(RepoDigests)],
        }));
      }),
    forget: (reference) =>
      asked(async () => {
        try {
          await engine.getImage(reference).remove({ force: false });
        } catch (error) {
          // 409: a container uses it, and this was its last name.
          if (statusOf(error) === 409) return false;
          if (statusOf(error) !== 404) throw error;
        }
        return true;
      }),
    imageBytes: () =>
      asked(async () => {
        const { LayersSize } = (await engine.df()) as { LayersSize?: number };
        return LayersSize ?? 0;
      }),
  };
}

function optionsOf(name: string, made: ContainerMade): Engine.ContainerCreateOptions {
  return {
    name,
    Image: made.image,
    Entrypoint: [],
    Cmd: [...made.command],
    User: made.user,
    Env: Object.entries(made.environment).map(([key, value]) => `${key}=${value}`),
    Labels: { ...made.labels },
    HostConfig: {
      NetworkMode: "host",
      // The unit alone starts it.
      RestartPolicy: { Name: "no" },
      Init: true,
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      CapAdd: [...made.capabilities],
      SecurityOpt: ["no-new-privileges"],
      Mounts: made.mounts.map(({ source, target, readOnly }) => ({
        Type: "bind" as const,
        Source: source,
        Target: target,
        ReadOnly: readOnly,
      })),
      Tmpfs: Object.fromEntries(made.tmpfs.map(({ target, options }) => [target, options])),
    },
  };
}

/** The exit code of a container, once it has ended. @throws StackctlError `command_timeout` */
async function endOf(container: Engine.Container, what: string, seconds: number): Promise<number> {
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort();
  }, seconds * 1000);
  try {
    const { StatusCode } = (await container.wait({ abortSignal: late.signal })) as { StatusCode: number };
    return StatusCode;
  } catch (cause) {
    if (!late.signal.aborted) throw cause;
    throw new StackctlError("command_timeout", `${what} did not end within ${String(seconds)} s`, {
      retryable: true,
      cause,
    });
  } finally {
    clearTimeout(timer);
  }
}

/** What a container said, without the eight bytes before each piece that name its stream and length (Docker Engine API v1.41, attach). */
export function unframed(bytes: Buffer): string {
  const pieces: Buffer[] = [];
  for (let at = 0; at + 8 <= bytes.length;) {
    const end = at + 8 + bytes.readUInt32BE(at + 4);
    pieces.push(bytes.subarray(at + 8, end));
    at = end;
  }
  return Buffer.concat(pieces).toString("utf8");
}

/** The options that carry a login to dockerd, in a header that it does not keep, and that a push has to have in any case. */
export function authorised(registry: string, login: RegistryAt["login"]): { authconfig: Engine.AuthConfig } {
  return {
    authconfig: {
      username: login?.user ?? "",
      password: login?.password ?? "",
      serveraddress: registry,
    },
  };
}

/**
 * Waits for the end of a pull or push, whose faults come as its last message.
 * @param doing told how far it is, at most once a second
 * @throws StackctlError `image_unavailable`
 */
export async function finished(
  engine: Engine,
  stream: NodeJS.ReadableStream,
  what: string,
  minutes: number,
  doing: (layers: string) => void,
): Promise<void> {
  const parts = new Map<string, { current: number; total: number }>();
  let saidMs = Date.now();
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(failure(`it did not end within ${String(minutes)} minutes`));
    }, minutes * 60_000);
    const failure = (why: string): StackctlError =>
      new StackctlError("image_unavailable", `${what}: ${why}`, { retryable: true });
    engine.modem.followProgress(
      stream,
      (error) => {
        clearTimeout(timer);
        if (error === null) resolve();
        else reject(failure(error.message));
      },
      (event: { id?: string; progressDetail?: { current?: number; total?: number } }) => {
        const { current, total } = event.progressDetail ?? {};
        if (event.id === undefined || current === undefined || total === undefined) return;
        parts.set(event.id, { current, total });
        if (Date.now() - saidMs < 1000) return;
        saidMs = Date.now();
        const sum = (pick: "current" | "total"): string =>
          String(Math.round([...parts.values()].reduce((all, part) => all + part[pick], 0) / 1e6));
        doing(`${sum("current")} of ${sum("total")} MB`);
      },
    );
  });
}

/** docker writes `<none>` where there is none. */
function namesOf(names: readonly string[] | null | undefined): string[] {
  return (names ?? []).filter((name) => !name.includes("<none>"));
}

/** What docker says that there is not is null. */
async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (statusOf(error) === 404) return null;
    throw error;
  }
}

async function refusedAs<T>(code: "image_unavailable", what: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (statusOf(error) === null) throw error;
    throw new StackctlError(code, `${what}: ${messageOf(error)}`, { retryable: true, cause: error });
  }
}

/** A call of the engine; that nobody answers is told as such. */
export async function asked<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof StackctlError) throw error;
    if (hasCode(error, "ENOENT") || hasCode(error, "ECONNREFUSED") || hasCode(error, "ECONNRESET")) {
      throw new StackctlError("docker_unreachable", "dockerd does not answer", {
        retryable: true,
        details: { remedy: "on the host: journalctl -u docker -n 30" },
        cause: error,
      });
    }
    if (statusOf(error) === null) throw error;
    const text = messageOf(error);
    if (/no space left on device/.test(text))
      throw new StackctlError("disk_full", `docker has no room: ${text}`, {
        retryable: true,
        details: { remedy: "make room on the host; see: df -h /var/lib/docker" },
        cause: error,
      });
    throw new StackctlError("container_failed", `docker refused: ${text}`, { retryable: true, cause: error });
  }
}

/** The HTTP status of the engine's refusal; null: it was something else. */
function statusOf(error: unknown): number | null {
  return error instanceof Error && "statusCode" in error && typeof error.statusCode === "number"
    ? error.statusCode
    : null;
}

function messageOf(error: unknown): string {
  return String(error)
    .replace(/^Error: \(HTTP code \d+\) [^-]*- /, "")
    .trim();
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
