import {
  containerUnit,
  galeraMarks,
  StackctlError,
  type GaleraDataSpec,
  type GaleraFound,
} from "@stackctl/protocol";
import type { Behaviour, Context, State } from "../engine/resource.ts";
import type { Host } from "../host/host.ts";

const right = "as it should be";
/** The one difference that is mended by doing something. */
const unfounded = "not founded yet";

/**
 * Refuses data that is not the cluster's, and orders the founding of a cluster in an empty folder. The container's start
 * carries it out; that it is done is told by Galera's own grastate.dat, never by a mark alone.
 */
export const galeraData: Behaviour<"galera-data"> = {
  read: ({ host }, spec): State => ({
    data: judgeData(spec.wants, look(host, spec.path), isOrdered(host, spec.path)),
  }),
  desired: (): State => ({ data: right }),
  async apply({ host, doing }, spec, changes) {
    const { path, wants } = spec;
    const found = changes.find(({ field }) => field === "data")?.from;
    if (found !== unfounded || wants.kind !== "found") {
      throw new StackctlError("data_foreign", `${path} ${String(found)}; nothing of it was touched`, {
        details: {
          expected: expected(wants),
          remedy: `save and clear ${path} on the host, or restore the cloud that it belongs to`,
        },
      });
    }
    doing("looking for members that run already");
    await assertAlone({ host }, wants.peers);
    // One that was killed between taking the order and bootstrapping waits for others that are not there.
    await host.units.stop(containerUnit(wants.container));
    if (judgeData(wants, look(host, path), isOrdered(host, path)) !== unfounded) return;
    const folder = host.files.stat(path);
    if (folder === null) throw new StackctlError("file_failed", `${path} is not there`, { retryable: true });
    const owner = { uid: folder.uid, gid: folder.gid };
    host.files.write(`${path}/${galeraMarks.found}`, "", 0o600, owner);
  },
  // What is there is data and goes with its folder.
  remove: () => Promise.resolve(),
  owns: () => [],
  restarts: () => [],
  disrupts: () => null,
  watch: () => ({}),
  outputs: ({ host }, { path }) => Promise.resolve({ data: JSON.stringify(look(host, path)) }),
};

/** What is wrong with what was found, in words that follow the folder's name. Pure. */
export function judgeData(wants: GaleraDataSpec["wants"], found: GaleraFound, ordered: boolean): string {
  switch (wants.kind) {
    case "look":
      return right;
    case "member":
      if (found.holds === "other" && !found.own) return "holds a database that is of no cluster";
      return found.uuid === null || found.uuid === wants.uuid ? right : `holds data of cluster ${found.uuid}`;
    case "found":
      if (!found.own && found.uuid !== null)
        return `holds data of cluster ${found.uuid}, which this cloud did not make`;
      if (!found.own && found.holds === "other") return "holds a database that is of no cluster";
      // Of a cluster, or about to be: a start that was killed after the order was taken and before it bootstrapped is ordered again.
      return found.uuid !== null || ordered ? right : unfounded;
  }
}

/** What grastate.dat says (galera 26.4); null: it is none. */
export function parseGrastate(text: string): Pick<GaleraFound, "uuid" | "seqno" | "safeToBootstrap"> | null {
  const field = (key: string): string | undefined => new RegExp(`^${key}:\\s*(\\S+)$`, "m").exec(text)?.[1];
  const uuid = field("uuid")?.toLowerCase();
  if (uuid === undefined || !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid)) return null;
  return {
    uuid: /^[0-]+$/.test(uuid) ? null : uuid,
    seqno: Number(field("seqno") ?? "-1"),
    safeToBootstrap: field("safe_to_bootstrap") === "1",
  };
}

function look({ files }: Host, path: string): GaleraFound {
  const own = [galeraMarks.found, galeraMarks.bootstrap, galeraMarks.founded].some(
    (mark) => files.stat(`${path}/${mark}`) !== null,
  );
  const state = parseGrastate(files.read(`${path}/grastate.dat`) ?? "");
  if (state !== null) return { holds: "galera", ...state, own };
  // What a joiner begins with before Galera wrote its state is no database yet.
  const isDatabase = ["ibdata1", "mysql"].some((name) => files.stat(`${path}/${name}`) !== null);
  return { holds: isDatabase ? "other" : "empty", uuid: null, seqno: -1, safeToBootstrap: false, own };
}

function isOrdered({ files }: Host, path: string): boolean {
  return [galeraMarks.found, galeraMarks.bootstrap].some((mark) => files.stat(`${path}/${mark}`) !== null);
}

/** @throws StackctlError `data_foreign` when a member of some cluster answers at one of these */
async function assertAlone(
  { host }: Pick<Context, "host">,
  peers: Extract<GaleraDataSpec["wants"], { kind: "found" }>["peers"],
): Promise<void> {
  for (const { address, port } of peers) {
    if (!(await host.system.answers(address, port, 0))) continue;
    throw new StackctlError(
      "data_foreign",
      `a member of a cluster runs at ${address}: nothing is founded beside it`,
      {
        details: { remedy: `see what runs there: ss -ltnp 'sport = :${String(port)}'` },
      },
    );
  }
}

function expected(wants: GaleraDataSpec["wants"]): string {
  return wants.kind === "member" ? `nothing, or data of cluster ${wants.uuid}` : "an empty folder";
}
