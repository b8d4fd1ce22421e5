import { createHash } from "node:crypto";
import { hostPaths } from "@stackctl/protocol";
import type { Behaviour, State } from "../engine/resource.ts";
import { ensureImage } from "./container.ts";
import { runToEnd } from "./container-job.ts";

/**
 * Keystone's own `keystone-manage bootstrap`, with the password from standard input in place of an argument or the
 * container's environment, where others would read it. What Python puts into its environment itself is in no /proc file.
 */
const program = `
import os, sys
os.environ["OS_BOOTSTRAP_PASSWORD"] = sys.stdin.read()
sys.argv = ["keystone-manage", "bootstrap"]
from keystone.cmd.manage import main
sys.exit(main())
`;

/**
 * Keeps keystone's `admin` there, with its role, its project and its password. That they are there the database tells;
 * that the password is the right one, too: what is kept of it there is remembered when it was set. Run again where all
 * is there, it changes nothing but what differs.
 */
export const keystoneBootstrap: Behaviour<"keystone-bootstrap"> = {
  async read({ host }, { socket, database, password }, name): Promise<State> {
    const hash = await host.database.keystoneAdmin(socket, database);
    if (hash === null) return { admin: null, password: null };
    const isOurs = host.files.read(record(name)) === recordText(hash, password.version);
    return { admin: "there", password: isOurs ? "current" : "other" };
  },
  desired: (): State => ({ admin: "there", password: "current" }),
  async apply(context, spec, _changes, name) {
    const { host, doing, reveal } = context;
    await ensureImage(context, spec, name);
    doing("making keystone's admin");
    await runToEnd(context, { ...spec, command: ["python3", "-c", program] }, name, reveal(spec.password));
    const hash = await host.database.keystoneAdmin(spec.socket, spec.database);
    if (hash !== null) host.files.write(record(name), recordText(hash, spec.password.version), 0o600);
  },
  // The user is in the database, which is data.
  async remove({ host }, _spec, name) {
    await host.docker.remove(name);
    host.files.remove(record(name));
  },
  owns: (_spec, name) => [`container:${name}`],
  restarts: () => [],
  disrupts: () => null,
  watch: () => ({}),
};

/** Of what keystone keeps of the password, and of which version of ours that is. */
function recordText(hash: string, version: number): string {
  return `${String(version)} ${createHash("sha256").update(hash).digest("hex")}\n`;
}

function record(name: string): string {
  return `${hostPaths.state}/jobs/${name}`;
}
