import type { Host } from "../host/host.ts";

/**
 * The host for a removal: what is spared, because another resource owns it by now, stays as it is whatever the removal
 * asks for.
 * @param spared such as `path:/etc/hosts`
 */
export function sparing(host: Host, spared: ReadonlySet<string>): Host {
  if (spared.size === 0) return host;
  const { files, packages, units, docker } = host;
  const isFree = (kind: "path" | "package" | "unit" | "container" | "image", name: string): boolean =>
    !spared.has(`${kind}:${name}`);
  return {
    ...host,
    files: {
      ...files,
      write: (path, ...rest) => {
        if (isFree("path", path)) files.write(path, ...rest);
      },
      remove: (path) => {
        if (isFree("path", path)) files.remove(path);
      },
      removeFolder: (path) => {
        if (isFree("path", path)) files.removeFolder(path);
      },
    },
    packages: {
      ...packages,
      purge: (names) => packages.purge(names.filter((name) => isFree("package", name))),
    },
    units: {
      ...units,
      stop: async (name) => {
        if (isFree("unit", name)) await units.stop(name);
      },
      disable: async (name) => {
        if (isFree("unit", name)) await units.disable(name);
      },
    },
    docker: {
      ...docker,
      remove: async (name) => {
        if (isFree("container", name)) await docker.remove(name);
      },
      removeUnused: async (id) => {
        if (isFree("image", id)) await docker.removeUnused(id);
      },
    },
  };
}
