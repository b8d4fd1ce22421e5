import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../stack.ts";
import { cloudTable, commandTable, jsonSchemas, withGeneratedPart } from "./generated.ts";

// Writes what the documents generate: `npm run fix` does, too.
const docs = join(root, "docs");
for (const [page, text] of [
  ["cli.md", commandTable()],
  ["cloud-yaml.md", cloudTable()],
] as const) {
  const file = join(docs, page);
  writeFileSync(file, withGeneratedPart(readFileSync(file, "utf8"), text));
}
mkdirSync(join(docs, "json-schema"), { recursive: true });
for (const [name, text] of Object.entries(jsonSchemas()))
  writeFileSync(join(docs, "json-schema", name), text);
