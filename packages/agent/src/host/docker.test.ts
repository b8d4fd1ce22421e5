import { describe, expect, it } from "vitest";
import { unframed } from "./docker.ts";

/** A piece as dockerd sends it: stream, three zeros, length, text. */
const piece = (stream: number, text: string): Buffer => {
  const head = Buffer.alloc(8);
  head[0] = stream;
  head.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([head, Buffer.from(text)]);
};

describe("unframed", () => {
  it("puts together what a container said on both streams", () => {
    expect(unframed(Buffer.concat([piece(1, "one\n"), piece(2, "zwö\n"), piece(1, "")]))).toBe("one\nzwö\n");
    expect(unframed(Buffer.alloc(0))).toBe("");
  });
});
