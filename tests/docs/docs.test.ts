import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "../stack.ts";
import { cloudTable, commandTable, generatedPart, jsonSchemas } from "./generated.ts";

const page = (name: string): string => readFileSync(join(root, name), "utf8");
const remedy = "write it anew with: npm run fix";

describe("the documents", () => {
  it("name every command as the program has it", () => {
    expect(generatedPart(page("docs/cli.md")), remedy).toBe(commandTable());
  });

  it("name every key of cloud.yaml as the schema has it", () => {
    expect(generatedPart(page("docs/cloud-yaml.md")), remedy).toBe(cloudTable());
  });

  it("hold the forms of what --json prints", () => {
    const schemas = jsonSchemas();
    expect(readdirSync(join(root, "docs/json-schema")).toSorted()).toEqual(Object.keys(schemas).toSorted());
    for (const [name, text] of Object.entries(schemas))
      expect(page(`docs/json-schema/${name}`), remedy).toBe(text);
  });

  it("point only to what exists", () => {
    const pages = [
      "README.md",
      "ARCHITECTURE.md",
      ...readdirSync(join(root, "docs"))
        .filter((name) => name.endsWith(".md"))
        .map((name) => `docs/${name}`),
    ];
    const missing: string[] = [];
    for (const name of pages) {
      const text = page(name);
      for (const [, path = ""] of text.matchAll(/`((?:packages|tests|docs|scripts)\/[A-Za-z0-9/_.-]+)`/g))
        if (!existsSync(join(root, path))) missing.push(`${name}: ${path}`);
      for (const [, link = ""] of text.matchAll(/\]\((?!http)([^)#]+)\)/g))
        if (!existsSync(join(root, name, "..", link))) missing.push(`${name}: ${link}`);
    }
    expect(missing).toEqual([]);
  });
});
