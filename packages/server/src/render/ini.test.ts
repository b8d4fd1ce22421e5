import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseIni, renderIni, type Ini } from "./ini.ts";

const word = fc.stringMatching(/^[a-z][a-z0-9_]{0,12}$/);
const value = fc.stringMatching(/^[!$-&(-:<-[\]-~]([ -!$-&(-[\]-~]{0,40}[!$-&(-[\]-~])?$/);
const sections = fc.dictionary(word, fc.dictionary(word, value, { maxKeys: 6 }), { maxKeys: 4 });

function text(ini: Ini): string {
  return renderIni(ini)
    .map((part) => ("text" in part ? part.text : "<secret>"))
    .join("");
}

describe("renderIni", () => {
  it("is read back as it was meant", () => {
    fc.assert(
      fc.property(sections, (ini) => {
        expect(parseIni(text(ini))).toEqual({ ...ini });
      }),
    );
  });

  it("keeps a secret a reference, between what stands before and after it", () => {
    const secret = { secret: "sst", version: 2 };
    const parts = renderIni({ a: { before: "1", login: ["sst:", secret], after: 2 } });
    expect(parts[1]).toEqual({ secret });
    expect(text({ a: { before: "1", login: ["sst:", secret], after: 2 } })).toContain(
      "login = sst:<secret>\nafter = 2\n",
    );
  });

  it.each(["", " x", "x ", "a\nb = c", "a # b", '"x"', "a\\b", ";x", "a'b"])(
    "refuses %j, which would be read as something else",
    (bad) => {
      expect(() => renderIni({ a: { key: bad } })).toThrow("not for a file");
    },
  );

  it.each(["a]\n[b", "", "a b"])("refuses a section or key named %j", (bad) => {
    expect(() => renderIni({ [bad]: {} })).toThrow("not for a file");
    expect(() => renderIni({ a: { [bad]: "x" } })).toThrow("not for a file");
  });
});
