import { StackctlError, type AptProxySpec } from "@stackctl/protocol";
import { fileState, fileStateWanted, type Behaviour, type Context } from "../engine/resource.ts";

const file = "/etc/apt/apt.conf.d/90stackctl-proxy";
const mode = 0o644;
const login = "/etc/apt/auth.conf.d/90stackctl-proxy.conf";
const loginMode = 0o600;

/**
 * Keeps apt going through the cloud's proxy. The password is only in apt_auth.conf(5), readable by root: apt opens it
 * before it drops root, and uses it for a proxy too when the machine is named with its scheme (tried on apt 2.6.1).
 */
export const aptProxy: Behaviour<"apt-proxy"> = {
  read: (context, spec) => ({
    ...fileState(context.host, file),
    login: loginState(context, spec),
  }),
  desired: (spec) => ({
    ...fileStateWanted(render(spec), mode),
    login: spec.login === null ? null : "current",
  }),
  apply(context, spec) {
    const { files } = context.host;
    const text = loginText(context, spec);
    if (text === null) files.remove(login);
    else files.write(login, text, loginMode);
    files.write(file, render(spec), mode);
    return Promise.resolve();
  },
  remove({ host }) {
    host.files.remove(file);
    host.files.remove(login);
    return Promise.resolve();
  },
  owns: () => [`path:${file}`, `path:${login}`],
  restarts: () => [],
  disrupts: () => null,
  watch: () => ({ files: [file, login] }),
};

/** Says whether the password file is right, never what is in it. */
function loginState(context: Context, spec: AptProxySpec): "current" | "other" | null {
  const { files } = context.host;
  const text = files.read(login);
  if (text === null) return null;
  const stat = files.stat(login);
  const sealed = stat?.mode === loginMode && stat.owner === "root" && stat.group === "root";
  return sealed && text === loginText(context, spec) ? "current" : "other";
}

/** apt.conf(5). */
function render({ url, direct }: AptProxySpec): string {
  return [
    "// Managed by stackctl. Local edits are reverted.",
    `Acquire::http::Proxy "${url}";`,
    `Acquire::https::Proxy "${url}";`,
    ...direct
      .toSorted()
      .flatMap((host) => ["http", "https"].map((way) => `Acquire::${way}::Proxy::${host} "DIRECT";`)),
    "",
  ].join("\n");
}

/** @throws StackctlError `spec_invalid` for a password that the file's form cannot hold; never says it */
function loginText({ reveal }: Context, { url, login: wanted }: AptProxySpec): string | null {
  if (wanted === null) return null;
  const password = reveal(wanted.password);
  // Words of netrc(5) are apart by white space, unquoted, and one that begins with # is a comment.
  if (!/^[!-~]+$/.test(password) || password.startsWith("#")) {
    throw new StackctlError(
      "spec_invalid",
      "apt cannot use a proxy password that is empty, begins with #, or holds a space or other than ASCII",
      { details: { remedy: `stackctl secret set ${wanted.password.secret}` } },
    );
  }
  return `machine ${url} login ${wanted.user} password ${password}\n`;
}
