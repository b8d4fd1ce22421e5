import type { AptProxySpec } from "@stackctl/protocol";
import { fileState, fileStateWanted, type Behaviour, type Context } from "../engine/resource.ts";

const file = "/etc/apt/apt.conf.d/90stackctl-proxy";
const login = "/etc/apt/auth.conf.d/90stackctl-proxy.conf";

/**
 * Keeps apt going through the cloud's proxy. The password is only in apt_auth.conf(5), which apt opens before it drops
 * root and uses for proxies too when the machine is named with its scheme (tried on apt 2.6.1).
 */
export const aptProxy: Behaviour<"apt-proxy"> = {
  read: (context, spec) => {
    const text = context.host.files.read(login);
    const stat = context.host.files.stat(login);
    const current =
      text === loginText(context, spec) && (stat === null || (stat.mode === 0o600 && stat.owner === "root"));
    return {
      ...fileState(context.host, file),
      login: current ? (text === null ? null : "current") : text === null ? null : "other",
    };
  },
  desired: (spec) => ({
    ...fileStateWanted(render(spec), 0o644),
    login: spec.login === null ? null : "current",
  }),
  apply(context, spec) {
    const { files } = context.host;
    const text = loginText(context, spec);
    if (text === null) files.remove(login);
    else files.write(login, text, 0o600);
    files.write(file, render(spec), 0o644);
    return Promise.resolve();
  },
  remove({ host }) {
    host.files.remove(file);
    host.files.remove(login);
    return Promise.resolve();
  },
  restarts: () => [],
  watch: () => ({ files: [file, login] }),
};

/** apt.conf(5). */
function render({ url, direct }: AptProxySpec): string {
  return [
    "// Managed by stackctl. Local edits are reverted.",
    `Acquire::http::Proxy "${url}";`,
    `Acquire::https::Proxy "${url}";`,
    ...direct.toSorted().map((host) => `Acquire::http::Proxy::${host} "DIRECT";`),
    "",
  ].join("\n");
}

function loginText({ reveal }: Context, { url, login: wanted }: AptProxySpec): string | null {
  if (wanted === null) return null;
  const password = reveal(wanted.password);
  // netrc(5) has no quoting: a password that would read as several words cannot be written.
  if (/[\s"#]/.test(password))
    throw new Error("the proxy's password holds a space, a quote or #, which apt cannot read");
  return `machine ${url} login ${wanted.user} password ${password}\n`;
}
