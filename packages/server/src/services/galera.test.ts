import type { GaleraFound } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import type { Cloud } from "../config/model.ts";
import { exampleCloud } from "../testing/example-cloud.ts";
import { foundingOf } from "./galera.ts";

const uuid = "ca7ec2de-0000-11f0-8000-000000000001";
const empty: GaleraFound = { holds: "empty", uuid: null, seqno: -1, safeToBootstrap: false, own: false };
const [controller] = exampleCloud.hosts;
if (controller === undefined) throw new Error("no controller");
const cloud: Cloud = {
  ...exampleCloud,
  hosts: [
    ...exampleCloud.hosts,
    { ...controller, name: "controller2" },
    { ...controller, name: "controller3" },
  ],
};

describe("foundingOf", () => {
  it.each<{
    name: string;
    born?: string;
    looks: Record<string, GaleraFound | null>;
    then: "found" | "member" | RegExp;
  }>([
    {
      name: "all are empty",
      looks: { controller1: empty, controller2: empty, controller3: empty },
      then: "found",
    },
    { name: "one was never enrolled", looks: { controller1: empty, controller2: empty }, then: "found" },
    { name: "a compute has not said anything", looks: { controller1: empty, compute1: null }, then: "found" },
    {
      name: "a joiner was begun and is of no cluster",
      looks: { controller1: empty, controller2: { ...empty, holds: "galera" } },
      then: "found",
    },
    {
      name: "the primary was founded and that was not recorded",
      looks: { controller1: { ...empty, holds: "galera", uuid, own: true } },
      then: "found",
    },
    {
      name: "one has not said",
      looks: { controller1: empty, controller2: null },
      then: /controller2 has not said/,
    },
    { name: "the primary has not said", looks: { controller1: null }, then: /controller1 has not said/ },
    {
      name: "one holds a cluster's data",
      looks: { controller1: empty, controller3: { ...empty, holds: "galera", uuid } },
      then: /controller3 holds data of cluster ca7e/,
    },
    {
      name: "one holds another database",
      looks: { controller1: empty, controller2: { ...empty, holds: "other" } },
      then: /controller2 holds a database of no cluster/,
    },
    {
      name: "it was founded once, and everything is empty",
      born: uuid,
      looks: { controller1: empty, controller2: empty },
      then: "member",
    },
    {
      name: "it was founded once, and nobody says anything",
      born: uuid,
      looks: { controller1: null, controller2: null },
      then: "member",
    },
  ])("$name", ({ born, looks, then }) => {
    const founding = foundingOf({
      cloud,
      primary: "controller1",
      galera: { uuid: born ?? null, looks: new Map(Object.entries(looks)) },
    });
    if (typeof then === "string") expect(founding).toMatchObject({ kind: then });
    else expect("waits" in founding ? founding.waits : "").toMatch(then);
  });
});
