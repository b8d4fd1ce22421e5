import { describe, expect, it } from "vitest";
import type { JumpHost } from "../config/model.ts";
import { exampleCloud } from "../testing/example-cloud.ts";
import { pinNamed } from "./logins.ts";

describe("pinNamed", () => {
  const cloud = (host: string): typeof exampleCloud => {
    const jumpHost: JumpHost = { host, user: "ops", port: 2222, hostKey: null };
    return { ...exampleCloud, ssh: { ...exampleCloud.ssh, jumpHost } };
  };

  it("finds the jump host with and without its port", () => {
    expect(pinNamed("bastion", cloud("bastion"))).toBe("bastion:2222");
    expect(pinNamed("bastion:2222", cloud("bastion"))).toBe("bastion:2222");
  });

  it("takes a host of the cloud for the host, also when it is the jump host too", () => {
    expect(pinNamed("controller1", cloud("controller1"))).toBe("controller1");
    expect(pinNamed("compute1", exampleCloud)).toBe("compute1");
  });
});
