import { setTimeout as delay } from "node:timers/promises";
import {
  containerUnit,
  galeraMarks,
  galeraUuid,
  StackctlError,
  type GaleraMemberSpec,
} from "@stackctl/protocol";
import type { Behaviour, Context, State } from "../engine/resource.ts";
import type { Host, Wsrep } from "../host/host.ts";

/** How often a member is asked while it is waited for. */
const askMs = 500;

/** Sees to it that a member serves: it waits until it has received what it lacks, and says why it does not get there. */
export const galeraMember: Behaviour<"galera-member"> = {
  async read({ host }, { socket, uuid }): Promise<State> {
    const wsrep = await host.database.wsrep(socket);
    return {
      serves: wsrep !== null && serves(wsrep),
      cluster: wsrep === null || uuid === null || wsrep.uuid === uuid ? "its own" : wsrep.uuid,
    };
  },
  desired: (): State => ({ serves: true, cluster: "its own" }),
  async apply(context, spec) {
    await untilServes(context, spec);
  },
  remove: () => Promise.resolve(),
  owns: () => [],
  restarts: () => [],
  disrupts: () => null,
  watch: ({ container }) => ({ units: [containerUnit(container)] }),
  async outputs({ host }, { socket }) {
    const wsrep = await host.database.wsrep(socket);
    return wsrep === null ? {} : { uuid: wsrep.uuid };
  },
  async health({ host }, { socket, uuid, data }) {
    const wsrep = await host.database.wsrep(socket);
    if (wsrep === null) {
      const position = positionOf(host, data);
      const silent = { cluster: "galera", size: 0, ok: false } as const;
      if (position === null) return { ...silent, state: "does not answer", id: null };
      const { uuid: id, seqno } = position;
      return { ...silent, state: `does not answer, has ${String(seqno)}`, id, seqno };
    }
    const isOwn = uuid === null || wsrep.uuid === uuid;
    return {
      cluster: "galera",
      state: stateText(wsrep),
      size: wsrep.size,
      id: wsrep.uuid,
      ok: serves(wsrep) && isOwn,
    };
  },
};

/** How far the data of a member is that was started and does not serve yet; null: its start did not say. */
export function positionOf({ files }: Host, data: string): { uuid: string; seqno: number } | null {
  const text = files.read(`${data}/${galeraMarks.position}`)?.trim() ?? "";
  const [, id = "", number = ""] = /^([0-9a-f-]{36}):(\d{1,15})$/.exec(text) ?? [];
  const uuid = galeraUuid.safeParse(id);
  return uuid.success ? { uuid: uuid.data, seqno: Number(number) } : null;
}

/**
 * Lets a member that waits for others begin, because it has the newest data of all. Its start looks once more at what it has.
 * @returns why it does not; null: it does
 */
export async function lead(
  host: Host,
  { socket, data, container }: Pick<GaleraMemberSpec, "socket" | "data" | "container">,
  asked: { readonly uuid: string; readonly seqno: number },
): Promise<string | null> {
  if ((await host.database.wsrep(socket)) !== null) return "it answers by now";
  const position = positionOf(host, data);
  if (position?.uuid !== asked.uuid || position.seqno !== asked.seqno)
    return `it has ${position === null ? "nothing known" : `${position.uuid}:${String(position.seqno)}`}`;
  const folder = host.files.stat(data);
  if (folder === null) return `${data} is not there`;
  const unit = containerUnit(container);
  await host.units.stop(unit);
  const text = `${asked.uuid}:${String(asked.seqno)}`;
  host.files.write(`${data}/${galeraMarks.lead}`, text, 0o600, { uid: folder.uid, gid: folder.gid });
  await host.units.start(unit);
  return null;
}

/** True for a member that has all data and may serve; one that gives its state to another goes on serving. */
export function serves({ state, primary, ready }: Wsrep): boolean {
  return primary && ready && (state === "Synced" || state === "Donor/Desynced");
}

/** How it is, in Galera's words. */
export function stateText({ state, primary, ready }: Wsrep): string {
  const words = state === "" ? "Starting" : state;
  return primary ? (ready || state !== "Synced" ? words : `${words}, not ready`) : `${words}, non-Primary`;
}

/**
 * Waits until a member serves, as long as its container runs.
 * @throws StackctlError `member_not_synced`
 */
export async function untilServes(
  { host, doing }: Pick<Context, "host" | "doing">,
  { socket, container, seconds }: Pick<GaleraMemberSpec, "socket" | "container" | "seconds">,
): Promise<void> {
  const until = performance.now() + seconds * 1000;
  for (;;) {
    const wsrep = await host.database.wsrep(socket);
    if (wsrep !== null && serves(wsrep)) return;
    const now = wsrep === null ? "does not answer" : stateText(wsrep);
    doing(wsrep === null ? `${container} starts or receives its state` : `${container} is ${now}`);
    const isUp = (await host.units.status(containerUnit(container))).active;
    if (isUp && performance.now() < until) {
      await delay(askMs);
      continue;
    }
    const what = isUp ? `after ${String(seconds)} s` : "and its container does not run";
    throw new StackctlError("member_not_synced", `the member ${now} ${what}`, {
      retryable: true,
      details: {
        expected: "Synced in the primary component",
        found: now,
        remedy: `stackctl logs ${container}`,
      },
    });
  }
}
