import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { PassThrough, type Readable } from "node:stream";
import { text as readAll } from "node:stream/consumers";
import Engine from "dockerode";
import { hostPaths, registryContainer, StackctlError, type ImageRecipe } from "@stackctl/protocol";
import { firstMirror, packagesFailed, problemOf, update } from "./apt.ts";
import { change } from "./command.ts";
import {
  asked,
  authorised,
  debootstrapName,
  finished,
  linuxDocker,
  recipeLabel,
  socketPath,
} from "./docker.ts";
import { writeAtomically } from "./files.ts";
import type { BuildHow, Images, RegistryImage, RegistryTag } from "./host.ts";
import { checked, ImageCache } from "./image-cache.ts";
import { environment, lastLines, query } from "./query.ts";
import { Registry, type StoredImage } from "./registry.ts";

const pushMinutes = 30;
const debootstrapMinutes = 20;
const stepMinutes = 30;
/** Where a new base is unpacked; wiped before and after. */
const baseFolder = "/var/cache/stackctl/base";
/** Taken out of a new base: nobody reads them in a container, and they would be in every image. */
const unread = [
  "usr/share/doc",
  "usr/share/man",
  "usr/share/info",
  "usr/share/locale",
  "var/cache/apt",
  "var/lib/apt/lists",
];
/** What a base has beyond Debian's: packages bring no such files, and start nothing while they are installed. */
const baseFiles: Readonly<Record<string, { text: string; mode: number }>> = {
  "etc/dpkg/dpkg.cfg.d/stackctl": {
    text: "force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/info/*\npath-exclude=/usr/share/locale/*\n",
    mode: 0o644,
  },
  "usr/sbin/policy-rc.d": { text: "#!/bin/sh\nexit 101\n", mode: 0o755 },
};
/** Says to apt inside a build where the host's things are: read before all else (apt.conf(5)), so that the rest is found there. */
const aptConfiguration = { file: join(hostPaths.state, "build-apt.conf"), inside: "/run/lent/apt.conf" };
/** Of the host, for apt inside a build: sources, proxy, its login and the lists. They do not become part of the image. */
const lent: Readonly<Record<string, string>> = {
  "/etc/apt": "/run/lent/apt",
  "/var/lib/apt/lists": "/run/lent/lists",
  [aptConfiguration.file]: aptConfiguration.inside,
};

/** Images made by docker on this host, and registries. */
export function linuxImages(): Images {
  const engine = new Engine({ socketPath });
  const docker = linuxDocker(engine);
  const cache = new ImageCache();
  /** The lists are fetched once for all builds that are asked for together. */
  let fresh: Promise<void> | null = null;
  const freshLists = async (): Promise<void> => {
    fresh ??= update();
    try {
      await fresh;
    } finally {
      fresh = null;
    }
  };

  const local = async (recipe: ImageRecipe): Promise<string | null> =>
    (await docker.image(localTag(recipe)))?.id ?? null;

  /** The image that a recipe is from, here: made, loaded, or pulled from where it was pushed. @returns its id */
  const parent = async (recipe: ImageRecipe, how: BuildHow): Promise<string> => {
    const { from } = recipe;
    if (from.kind !== "set") throw new Error(`${recipe.name} has no parent in its set`);
    const below = how.set.find(({ name }) => name === from.name);
    if (below === undefined)
      throw new StackctlError("spec_invalid", `${recipe.name} is from ${from.name}, which is not in the set`);
    const here = await local(below);
    if (here !== null) return here;
    const there =
      how.registry === null ? null : await new Registry(how.registry).image(below.name, below.digest);
    if (there === null || how.registry === null) return build(below, how);
    return docker.pull(how.registry.name, below.name, there.digest, how.registry.login, how.doing);
  };

  const build = async (recipe: ImageRecipe, how: BuildHow): Promise<string> => {
    const { doing } = how;
    if (cache.wanted) {
      await freshLists();
      const kept = cache.find(recipe.digest);
      if (kept !== null) return load(recipe, kept.id);
    }
    const id = recipe.from.kind === "debootstrap" ? await debootstrap(recipe, how) : null;
    const below =
      id ??
      (recipe.from.kind === "image"
        ? await pullOutside(recipe.from.reference, doing)
        : await parent(recipe, how));
    doing(`building ${recipe.name}`);
    return assemble(recipe, below, how);
  };

  /** Lets docker load what the cache has. */
  const load = async (recipe: ImageRecipe, id: string): Promise<string> => {
    const kept = cache.find(recipe.digest);
    if (kept === null)
      throw new StackctlError("build_failed", `${recipe.name} went out of the cache`, { retryable: true });
    const folder = cache.layOut(kept, localTag(recipe));
    try {
      await asked(async () => {
        const answer = await engine.loadImage(tarOf(folder), { quiet: true });
        await readAll(answer);
      });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    const loaded = await local(recipe);
    if (loaded === id) return id;
    throw new StackctlError(
      "build_failed",
      `docker made another image of what the cache has of ${recipe.name}`,
      {
        details: { expected: id, found: loaded ?? "none" },
      },
    );
  };

  /** A minimal Debian by debootstrap. @returns the id of its image, not yet the recipe's */
  const debootstrap = async (recipe: ImageRecipe, how: BuildHow): Promise<string> => {
    if (recipe.from.kind !== "debootstrap") throw new Error("not a base");
    const mirror = how.mirror ?? firstMirror();
    if (mirror === null)
      throw new StackctlError("build_failed", "no mirror to make the base image from", {
        details: { remedy: "set packages.mirror in cloud.yaml" },
      });
    how.doing(`making ${recipe.name} by debootstrap`);
    rmSync(baseFolder, { recursive: true, force: true });
    mkdirSync(baseFolder, { recursive: true, mode: 0o700 });
    const wgetrc = join(hostPaths.state, "wgetrc");
    writeAtomically(wgetrc, wgetrcText(how.proxy), 0o600);
    try {
      const end = await change(
        "debootstrap",
        [
          ...["env", `WGETRC=${wgetrc}`],
          ...["debootstrap", "--variant=minbase", "--include=ca-certificates"],
          ...[recipe.from.suite, join(baseFolder, "root"), mirror],
        ],
        debootstrapMinutes * 60_000,
      );
      if (end.code !== 0) throw buildFailed(recipe, end.argv, end.code, end.output);
      const root = join(baseFolder, "root");
      for (const path of unread) rmSync(join(root, path), { recursive: true, force: true });
      for (const path of ["var/cache/apt/archives/partial", "var/lib/apt/lists/partial"])
        mkdirSync(join(root, path), { recursive: true });
      for (const [path, { text, mode }] of Object.entries(baseFiles)) {
        mkdirSync(join(root, path, ".."), { recursive: true });
        writeFileSync(join(root, path), text);
        chmodSync(join(root, path), mode);
      }
      return await asked(async () => {
        const answer = await engine.importImage(tarOf(root), {
          repo: debootstrapName,
          tag: recipe.digest.slice(0, 32),
        });
        const said = await readAll(answer);
        const id = /sha256:[0-9a-f]{64}/.exec(said)?.[0];
        if (id === undefined)
          throw new StackctlError("build_failed", `docker did not import the base: ${said.slice(0, 200)}`);
        return id;
      });
    } finally {
      rmSync(wgetrc, { force: true });
      rmSync(baseFolder, { recursive: true, force: true });
    }
  };

  const pullOutside = (reference: string, doing: (text: string) => void): Promise<string> =>
    asked(async () => {
      const stream = await engine.pull(reference);
      await finished(engine, stream, `${reference} cannot be pulled`, pushMinutes, (layers) => {
        doing(`pulling ${reference} ${layers}`);
      });
      return (await engine.getImage(reference).inspect()).Id;
    });

  /** Runs a recipe's steps in a container of what it is from, and makes an image of it. */
  const assemble = async (recipe: ImageRecipe, below: string, how: BuildHow): Promise<string> => {
    const name = `stackctl-build-${recipe.name}`;
    await docker.remove(name);
    writeAtomically(
      aptConfiguration.file,
      'Dir::Etc "/run/lent/apt";\nDir::State::lists "/run/lent/lists";\n',
      0o600,
    );
    const id = await asked(async () => {
      const container = await engine.createContainer({
        name,
        Image: below,
        Entrypoint: [],
        Cmd: ["sleep", "infinity"],
        HostConfig: {
          NetworkMode: "host",
          Mounts: Object.entries(lent).map(([Source, Target]) => ({
            Type: "bind" as const,
            Source,
            Target,
            ReadOnly: true,
          })),
        },
      });
      await container.start();
      for (const argv of stepsOf(recipe)) {
        how.doing(`building ${recipe.name}: ${titleOf(argv)}`);
        const { code, output } = await execute(engine, container, argv);
        if (code !== 0) throw buildFailed(recipe, argv, code, output);
      }
      const committed = (await container.commit({
        repo: localTag(recipe).split(":")[0],
        tag: localTag(recipe).split(":")[1],
        Cmd: [],
        Labels: { [recipeLabel]: recipe.digest },
      })) as { Id: string };
      return committed.Id;
    });
    await docker.remove(name);
    return id;
  };

  return {
    parallel: Math.max(1, availableParallelism()),
    local,
    build: async (recipe, how) => {
      await freshLists();
      return build(recipe, how);
    },
    inRegistry: async (at, name, tag) => {
      const found = await new Registry(at).image(name, tag);
      return found === null ? null : shown(found);
    },
    take: async (recipe, from, doing) => {
      const found = await orNowhere(new Registry(from).image(recipe.name, recipe.digest));
      if (found === null) return null;
      const id = await docker.pull(from.name, recipe.name, found.digest, from.login, doing);
      const [repo = "", tag = ""] = localTag(recipe).split(":");
      await asked(() => engine.getImage(id).tag({ repo, tag }));
      return id;
    },
    tags: async (at) => {
      const registry = new Registry(at);
      const found: RegistryTag[] = [];
      for (const name of await registry.names())
        for (const tag of await registry.tags(name)) {
          const image = await registry.image(name, tag);
          if (image !== null) found.push({ name, tag, digest: image.digest });
        }
      return found;
    },
    removeFromRegistry: (at, name, digest) => new Registry(at).remove(name, digest),
    collectGarbage: () =>
      asked(async () => {
        const container = engine.getContainer(registryContainer.name);
        const before = await folderBytes(registryContainer.data);
        const argv = ["docker-registry", "garbage-collect", registryContainer.configuration];
        const { code, output } = await execute(engine, container, argv);
        if (code !== 0)
          throw new StackctlError("command_failed", `${argv.join(" ")} ended with ${String(code)}`, {
            retryable: true,
            details: { command: { argv, code, stderr: lastLines(output) } },
          });
        return Math.max(0, before - (await folderBytes(registryContainer.data)));
      }),
    push: async (recipe, to, doing) => {
      doing(`pushing ${recipe.name}`);
      await asked(async () => {
        const image = engine.getImage(localTag(recipe));
        const repo = `${to.name}/${recipe.name}`;
        await image.tag({ repo, tag: recipe.digest });
        const pushed = engine.getImage(`${repo}:${recipe.digest}`);
        const stream = await pushed.push(authorised(to.name, to.login));
        await finished(
          engine,
          stream,
          `${recipe.name} cannot be pushed to ${to.name}`,
          pushMinutes,
          (layers) => {
            doing(`pushing ${recipe.name} ${layers}`);
          },
        );
      });
      const registry = new Registry(to);
      // What docker says of a push is no proof: after a collection of garbage it says that layers exist which do not.
      const stored = await registry.image(recipe.name, recipe.digest);
      if (stored === null)
        throw new StackctlError(
          "registry_refused",
          `${to.name} does not have ${recipe.name} after it was pushed`,
          {
            retryable: true,
          },
        );
      if (cache.wanted) await cache.keep(recipe.digest, stored, (blob) => registry.blob(recipe.name, blob));
      return shown(stored);
    },
    fromCache: async (recipe, to) => {
      if (!cache.wanted) return null;
      await freshLists();
      const kept = cache.find(recipe.digest);
      if (kept === null) return null;
      await new Registry(to).store(recipe.name, recipe.digest, kept, cache.blob);
      return shown(kept);
    },
    copy: async (from, to, name, tag, digest) => {
      const source = new Registry(from);
      const image = await source.image(name, digest);
      if (image === null)
        throw new StackctlError(
          "image_unavailable",
          `the registry at ${from.address ?? from.name} has no ${name}@${digest}`,
          {
            retryable: true,
          },
        );
      await new Registry(to).store(name, tag, image, async (blob) =>
        (await source.blob(name, blob)).pipe(checked(blob)),
      );
    },
  } satisfies Images;
}

function shown({ digest, id, sizeBytes }: StoredImage): RegistryImage {
  return { digest, id, sizeBytes };
}

/** What a registry that does not answer has is as good as nothing. */
async function orNowhere<T>(answer: Promise<T | null>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof StackctlError && error.code === "registry_unreachable") return null;
    throw error;
  }
}

/** What a folder takes on the disk. */
async function folderBytes(path: string): Promise<number> {
  const { stdout } = await query("du", ["-s", "--block-size=1", "--", path]);
  return Number(/^[0-9]+/.exec(stdout)?.[0] ?? 0);
}

/** The name that an image made here has in docker. */
function localTag(recipe: ImageRecipe): string {
  return `stackctl/${recipe.name}:${recipe.digest.slice(0, 32)}`;
}

/** What is done inside a build, as argument lists. */
function stepsOf(recipe: ImageRecipe): string[][] {
  const apt = ["apt-get", "-q", "-y", "-o", "Dpkg::Use-Pty=0", "-o", "Dpkg::Options::=--force-confold"];
  return [
    ...recipe.users.flatMap(({ name, id, home }) => [
      ["groupadd", "--gid", String(id), name],
      [
        ...["useradd", "--uid", String(id), "--gid", String(id), "--home-dir", home],
        ...["--no-create-home", "--shell", "/usr/sbin/nologin", name],
      ],
    ]),
    // The base is as old as the release; its fixes come with the host's own sources.
    ...(recipe.from.kind === "debootstrap" ? [[...apt, "dist-upgrade"]] : []),
    ...(recipe.packages.length === 0
      ? []
      : [[...apt, "install", "--no-install-recommends", "--", ...recipe.packages]]),
    ["apt-get", "clean"],
    ["rm", "-rf", "--", "/var/cache/debconf", "/var/log/dpkg.log", "/var/log/apt", ...recipe.remove],
  ];
}

/** Runs one command inside a container to its end. */
async function execute(
  engine: Engine,
  container: Engine.Container,
  argv: readonly string[],
): Promise<{ code: number | null; output: string }> {
  const exec = await container.exec({
    Cmd: [...argv],
    AttachStdout: true,
    AttachStderr: true,
    Env: Object.entries({ ...environment, APT_CONFIG: aptConfiguration.inside }).map(
      ([key, value]) => `${key}=${value}`,
    ),
  });
  const stream = await exec.start({ hijack: true, stdin: false });
  const both = new PassThrough();
  engine.modem.demuxStream(stream, both, both);
  const timer = setTimeout(() => stream.destroy(new Error("too long")), stepMinutes * 60_000);
  stream.once("end", () => both.end());
  stream.once("close", () => both.end());
  const output = await readAll(both);
  clearTimeout(timer);
  const { ExitCode } = await exec.inspect();
  return { code: ExitCode, output: output.slice(-1_000_000) };
}

function buildFailed(
  recipe: ImageRecipe,
  argv: readonly string[],
  code: number | null,
  output: string,
): StackctlError {
  if (problemOf(output).kind !== "other") return packagesFailed({ argv, code, output });
  const said = output.trimEnd().split("\n").at(-1) ?? "";
  return new StackctlError(
    "build_failed",
    `image ${recipe.name}: ${titleOf(argv)} ended with ${String(code)}: ${said.slice(0, 300)}`,
    {
      retryable: true,
      details: { command: { argv, code, stderr: lastLines(output) } },
    },
  );
}

function titleOf(argv: readonly string[]): string {
  return argv
    .filter((word) => !word.startsWith("-") && !word.includes("::"))
    .join(" ")
    .slice(0, 80);
}

/** wget's configuration (wget(1)): the proxy's password must not be in arguments or an environment. */
function wgetrcText(proxy: BuildHow["proxy"]): string {
  if (proxy === null) return "";
  return [
    "use_proxy=on",
    `http_proxy=${proxy.url}`,
    `https_proxy=${proxy.url}`,
    ...(proxy.login === null
      ? []
      : [`proxy_user=${proxy.login.user}`, `proxy_password=${proxy.login.password}`]),
    "",
  ].join("\n");
}

/** A folder as a tar stream. */
function tarOf(folder: string): Readable {
  const child = spawn("tar", ["--numeric-owner", "-C", folder, "-c", "."], {
    stdio: ["ignore", "pipe", "pipe"],
    env: environment,
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const out = new PassThrough();
  child.stdout.pipe(out, { end: false });
  child.once("error", (error) => out.destroy(error));
  child.once("close", (code) => {
    if (code === 0) out.end();
    else out.destroy(new Error(`tar ended with ${String(code)}: ${said.slice(0, 300)}`));
  });
  return out;
}
