import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { leadOf, type Waiting } from "./galera-lead.ts";

const uuid = "0d9b1f1d-7d2a-4c7e-9f64-8c6b2c1e2a3b";
const other = "1d9b1f1d-7d2a-4c7e-9f64-8c6b2c1e2a3b";
const waits = (host: string, seqno: number, id = uuid): Waiting => ({
  host,
  health: { ok: false, size: 0, id, seqno },
});

describe("leadOf", () => {
  it("names the one with the newest data, of equals the first", () => {
    expect(leadOf([waits("a", 7), waits("b", 9), waits("c", 9)], uuid)).toEqual({
      kind: "lead",
      host: "b",
      uuid,
      seqno: 9,
    });
  });

  it("lets those that run find each other by themselves", () => {
    const runs = { host: "b", health: { ok: false, size: 1, id: uuid } };
    expect(leadOf([waits("a", 7), runs, waits("c", 9)], uuid)).toEqual({ kind: "none" });
    expect(leadOf([waits("a", 7), { host: "b", health: { ...runs.health, ok: true } }], uuid)).toEqual({
      kind: "none",
    });
  });

  it("does not guess while one is silent, or has another cluster's data", () => {
    const silent = leadOf([waits("a", 7), { host: "b", health: null }, waits("c", 9)], uuid);
    expect(silent).toEqual({ kind: "unknown", why: "b has not said how far its data is" });
    const unsure = { host: "b", health: { ok: false, size: 0, id: null } };
    expect(leadOf([waits("a", 7), unsure], uuid).kind).toBe("unknown");
    expect(leadOf([waits("a", 7), waits("b", 9, other)], uuid)).toMatchObject({
      why: expect.stringContaining("another cluster") as string,
    });
  });

  it("never names one with older data than another's, whatever they have", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 5 }), (numbers) => {
        const lead = leadOf(
          numbers.map((seqno, index) => waits(String(index), seqno)),
          uuid,
        );
        expect(lead.kind === "lead" ? lead.seqno : null).toBe(Math.max(...numbers));
      }),
    );
  });
});
