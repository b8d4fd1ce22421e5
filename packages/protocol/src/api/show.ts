import * as z from "zod/mini";
import { cause } from "../cause.ts";
import { hostName, role, secretName, serviceName } from "../names.ts";
import { scope } from "./scope.ts";

const count = z.int().check(z.nonnegative());
const instant = z.iso.datetime();

/** A value as it is shown: plain, or a list of plain ones. A secret is the words `secret NAME version N`. */
export const shownValue = z.union([
  z.string(),
  z.number(),
  z.boolean(),
  z.null(),
  z.array(z.union([z.string(), z.number(), z.boolean()])),
]);
export type ShownValue = z.infer<typeof shownValue>;

/** The cloud as it is understood, every default filled in. `config show --json` prints exactly this. */
export const configView = z.strictObject({
  cloud: z.string(),
  /** Absolute path. */
  file: z.string(),
  values: z.array(
    z.strictObject({
      /** Dotted path, such as `hosts.controller1.address`. */
      key: z.string(),
      value: shownValue,
      /** `cloud.yaml:24`, or `default`. */
      origin: z.string(),
    }),
  ),
});
export type ConfigView = z.infer<typeof configView>;

/** What one host's documents would be. `render --json` prints exactly this. */
export const renderView = z.strictObject({
  host: hostName,
  role,
  /** In the order in which they converge. */
  services: z.array(
    z.strictObject({
      service: serviceName,
      /** Services of the host that come before it. */
      needs: z.array(serviceName),
      /** What it waits for, so that its resources cannot be said yet; null: nothing. */
      waits: z.nullable(z.string()),
      /** Of the document; null while it waits. */
      digest: z.nullable(z.string()),
      /** None, and it waits for nothing: the service leaves the host, and takes what it made along. */
      resources: z.array(
        z.strictObject({
          id: z.string(),
          /** The line of the file that asks for it. */
          origin: z.string(),
          values: z.array(
            z.strictObject({
              /** Dotted path in the spec, such as `entries.0.address`. */
              field: z.string(),
              value: shownValue,
              /**
               * What it follows from: lines such as `cloud.yaml:24`; `vault` for a secret; `server` for what the server
               * made or recorded, such as certificates and digests of images; else `default`.
               */
              origins: z.array(z.string()),
            }),
          ),
        }),
      ),
    }),
  ),
});
export type RenderView = z.infer<typeof renderView>;

/** One run in the list of runs. `runs list --json` prints a list of these. */
export const runRow = z.strictObject({
  id: count,
  startedAt: instant,
  scope,
  cause,
  state: z.enum(["running", "done"]),
  /** Null while it runs. */
  outcome: z.nullable(z.enum(["unchanged", "changed", "failed"])),
  /** Null while it runs. */
  seconds: z.nullable(z.number()),
  /** Of resources, as far as it is. */
  totals: z.strictObject({ unchanged: count, changed: count, skipped: count, failed: count }),
});
export type RunListRow = z.infer<typeof runRow>;

/** Words that a shell completes: what a cloud's file and the services give names to. */
export const namesView = z.strictObject({
  hosts: z.array(hostName),
  services: z.array(serviceName),
  secrets: z.array(secretName),
  /** Ids of each host's resources once nothing waits, by host. */
  resources: z.record(z.string(), z.array(z.string())),
});
export type NamesView = z.infer<typeof namesView>;
