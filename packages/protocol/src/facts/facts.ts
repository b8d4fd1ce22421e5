import * as z from "zod/mini";

const count = z.int().check(z.nonnegative());

/** What a host is, as far as the cloud cares. Collected over SSH before enrolment, by the agent after it. */
export const facts = z.strictObject({
  hostname: z.string(),
  /** `/proc/sys/kernel/random/boot_id`. */
  bootId: z.uuid(),
  /** `ID` and `VERSION_ID` of os-release(5), such as `debian` and `12`. */
  os: z.strictObject({ id: z.string(), version: z.string() }),
  architecture: z.string(),
  cores: z.int(),
  memoryMiB: z.int(),
  /** Of the file system that holds `/var/lib`. */
  disk: z.strictObject({ totalMiB: z.int(), freeMiB: z.int() }),
  /** Whole disks; `empty`: nothing is on it, neither partitions nor a file system. */
  disks: z.array(z.strictObject({ name: z.string(), sizeMiB: count, empty: z.boolean() })),
  nics: z.array(
    z.strictObject({
      name: z.string(),
      addresses: z.array(z.string()),
      up: z.boolean(),
      mtu: count,
      /** Null: it does not say, as one of a virtual machine. */
      speedMbps: z.nullable(count),
    }),
  ),
  /** Unix time of the host in milliseconds when it answered. */
  timeMs: z.number(),
  /** Who keeps its clock right. */
  time: z.strictObject({
    /** The client that runs; null: none. */
    client: z.nullable(z.enum(["chrony", "timesyncd", "ntpsec", "ntp", "openntpd"])),
    /** Null: the client does not say. */
    synchronised: z.nullable(z.boolean()),
    /** The server that it follows, as the client names it. */
    source: z.nullable(z.string()),
    /** How far it is from that server, in milliseconds; positive: the host is ahead. */
    offsetMs: z.nullable(z.number()),
  }),
  /** Names that it was asked to resolve and could not. */
  unresolved: z.array(z.string()),
  /** Who listens on ports of ours, over TCP. */
  listeners: z.array(
    z.strictObject({
      port: count,
      address: z.string(),
      process: z.string(),
      /** Its container; null: it is in none, or docker does not answer. */
      container: z.nullable(z.string()),
      /** It is a container that we made; null: docker does not answer. */
      ours: z.nullable(z.boolean()),
    }),
  ),
  /** What other tools left or run here, by the names of `leftovers` in `questions.ts`. */
  leftovers: z.array(z.strictObject({ what: z.string(), detail: z.string(), running: z.boolean() })),
  /** The cloud that an agent of ours here belongs to; null: there is none. */
  agentOf: z.nullable(z.string()),
  kvm: z.strictObject({
    usable: z.boolean(),
    why: z.string(),
    /** What the processor offers. */
    extension: z.nullable(z.enum(["vmx", "svm"])),
    /** Guests may run guests; null: the kernel's module is not loaded. */
    nested: z.nullable(z.boolean()),
    /** It is a virtual machine itself. */
    guest: z.boolean(),
  }),
});
export type Facts = z.infer<typeof facts>;
