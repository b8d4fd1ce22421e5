import * as z from "zod/mini";
import { documentBody } from "../document.ts";
import { aptProxySpec } from "../resources/apt-proxy.ts";
import { mirrorUrl } from "../resources/apt-repository.ts";
import { sealedSecret } from "../seal.ts";
import { facts } from "../facts.ts";
import { serviceName } from "../names.ts";
import { resourceOutcome } from "../outcome.ts";

/** How long a request may be acted on after it was issued. */
export const requestLifeSeconds = 30;

/** How packages are to be reached, as it is handed to the child that tries: over its standard input only. */
export const packagesWay = z.strictObject({
  url: mirrorUrl,
  /** With credentials; null: whatever the host uses. */
  proxy: z.nullable(z.string()),
});
export type PackagesWay = z.infer<typeof packagesWay>;

/** What the server may ask an agent now. The closed list: no other way into a host exists. */
export const agentRequest = z.discriminatedUnion("kind", [
  /** Who are you; answered by {@link pingAnswer}. */
  z.strictObject({ kind: z.literal("ping") }),
  /** What would these documents change; changes nothing; answered by {@link planAnswer}. */
  z.strictObject({ kind: z.literal("plan"), documents: z.array(documentBody).check(z.maxLength(100)) }),
  /** What are you; answered by {@link factsAnswer}. */
  z.strictObject({
    kind: z.literal("facts"),
    packages: z.strictObject({
      /** A file to fetch the way apt would, to prove mirror and proxy before they are applied. */
      url: mirrorUrl,
      /** The proxy that the cloud's file names; null: whatever the host uses. */
      proxy: z.nullable(aptProxySpec),
      sealed: z.array(sealedSecret).check(z.maxLength(4)),
    }),
  }),
]);
export type AgentRequest = z.infer<typeof agentRequest>;

export const pingAnswer = z.strictObject({ version: z.string(), bootId: z.uuid(), timeMs: z.number() });
export type PingAnswer = z.infer<typeof pingAnswer>;

export const planAnswer = z.strictObject({
  services: z.array(
    z.strictObject({
      service: serviceName,
      /** True when the agent already holds a document of exactly this digest. */
      held: z.boolean(),
      resources: z.array(resourceOutcome),
    }),
  ),
});
export type PlanAnswer = z.infer<typeof planAnswer>;

export const factsAnswer = z.strictObject({
  facts,
  /** Null: the packages were reached; else why not. */
  packagesProblem: z.nullable(z.string()),
});
export type FactsAnswer = z.infer<typeof factsAnswer>;
