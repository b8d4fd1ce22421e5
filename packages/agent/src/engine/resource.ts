import { createHash } from "node:crypto";
import type { Change, FieldValue, MemberHealth, ResourceType, SpecOf } from "@stackctl/protocol";
import type { Host, UnitStatus } from "../host/host.ts";

/** Desired or observed state: flat fields. Never holds a secret; say `current`, `other` or null instead. */
export type State = Readonly<Record<string, FieldValue>>;

/** Opens a secret that the document carries, at the moment when it is written. */
export type Reveal = (ref: { readonly secret: string; readonly version: number }) => string;

/** What a behaviour may use beside its spec. */
export interface Context {
  readonly host: Host;
  readonly reveal: Reveal;
  /** Tells the server that the host goes down now, and returns once it knows, or cannot be told. */
  readonly goingDown: () => Promise<void>;
  /** Says what is being done, one short phrase such as `installing chrony`; shown live. */
  readonly doing: (text: string) => void;
}

/** What on the host, when it changes, may mean drift of a resource: watched by events, so that drift is seen at once. */
export interface Watched {
  readonly files?: readonly string[];
  readonly units?: readonly string[];
  readonly packages?: boolean;
}

/** How one type of resource is read and made true. Each call is also told the resource's name, which most types do not need. */
export interface Behaviour<T extends ResourceType> {
  /** What is there. Must not change anything. Cheap: no slow tool is ever started here. */
  read(context: Context, spec: SpecOf<T>, name: string): State | Promise<State>;
  /** What should be there, with the same fields as `read`. Pure but for `reveal`. */
  desired(spec: SpecOf<T>, context: Context, name: string): State;
  /** Makes it so. May be killed at any line and run again: a restart that is due must be part of the observed state. */
  apply(context: Context, spec: SpecOf<T>, changes: readonly Change[], name: string): Promise<void>;
  /**
   * Takes away what `apply` made but for data; safe to repeat. Gets the last spec that was applied.
   * @param spared what others own by now; the host given with it does not let go of that
   */
  remove(context: Context, lastSpec: SpecOf<T>, name: string, spared: ReadonlySet<string>): Promise<void>;
  /**
   * What on the host is its alone, such as `path:/etc/hosts`, `package:chrony`, `unit:chrony.service`, `container:cache`:
   * another resource that names the same goes on with it when this one leaves. Pure.
   */
  owns(spec: SpecOf<T>, name: string): readonly string[];
  /** What a removal now would leave on the host because it is data, or somebody else's, and where; null: nothing. Changes nothing. */
  keeps?(context: Context, lastSpec: SpecOf<T>): string | null | Promise<string | null>;
  /** What these changes stop or restart, such as `restart chrony.service`. Pure. */
  restarts(spec: SpecOf<T>, changes: readonly Change[], name: string): readonly string[];
  /**
   * The cluster that these changes, or its removal, take a member of down, such as `docker`; null: none, it is safe.
   * Only what runs can be taken down: to start what is stopped is safe. Pure.
   */
  disrupts(spec: SpecOf<T>, changes: readonly Change[] | "removal"): string | null;
  watch(spec: SpecOf<T>, name: string): Watched;
  /** What it gave that others depend on, once it is true; never a secret. Changes nothing. */
  outputs?(context: Context, spec: SpecOf<T>): Promise<Readonly<Record<string, string>>>;
  /**
   * How the member of a cluster that it stands for is now, at most one cheap question, for it is asked every few seconds;
   * null: this one stands for none.
   */
  health?(context: Context, spec: SpecOf<T>): Promise<MemberHealth> | null;
}

/** Fields that differ, in the order of `desired`. */
export function diffFields(desired: State, observed: State): Change[] {
  return Object.entries(desired)
    .filter(([field, to]) => (observed[field] ?? null) !== to)
    .map(([field, to]) => ({ field, from: observed[field] ?? null, to }));
}

/** Observed state of a managed file: its text, mode and owner. */
export function fileState(
  host: Host,
  path: string,
): { content: string | null; mode: string | null; owner: string | null } {
  const stat = host.files.stat(path);
  return {
    content: host.files.read(path),
    mode: stat === null ? null : stat.mode.toString(8),
    owner: stat === null ? null : `${stat.owner}:${stat.group}`,
  };
}

/** What {@link fileState} should see: this text, this mode, owned by root. */
export function fileStateWanted(
  content: string,
  mode: number,
): { content: string; mode: string; owner: string } {
  return { content, mode: mode.toString(8), owner: "root:root" };
}

/**
 * Digest (hex SHA-256) of the configuration that a unit runs with. Whoever started it, it has read the file as it is
 * when that is older than the start; else it runs with what we started it with.
 * @param record our own file with the digest that we last started it with; empty while a restart is due
 */
export function loadedDigest(host: Host, config: string, record: string, { startedMs }: UnitStatus): string {
  const recorded = host.files.read(record) ?? "";
  const text = host.files.read(config);
  const stat = host.files.stat(config);
  // A restart that is due stays due, whatever was started meanwhile: only we end a debt.
  if (recorded === "" || text === null || stat === null || startedMs === null || stat.modifiedMs > startedMs)
    return recorded;
  return createHash("sha256").update(text).digest("hex");
}
