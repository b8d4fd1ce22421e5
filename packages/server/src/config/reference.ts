import { z } from "zod";
import { cloudSchema } from "./schema.ts";

interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly anyOf?: readonly JsonSchema[];
  readonly enum?: readonly unknown[];
  readonly required?: readonly string[];
}

/** Every key of `cloud.yaml` with what it means and its default, as a table. Made from the schema: it cannot be out of date. */
export function renderReference(): string {
  const rows: string[] = [];
  const visit = (schema: JsonSchema, path: readonly string[], required: boolean): void => {
    const inner = schema.anyOf?.find(({ type }) => type !== "null") ?? schema;
    if (inner.properties !== undefined) {
      for (const [key, child] of Object.entries(inner.properties))
        visit(child, [...path, key], inner.required?.includes(key) === true);
    } else if (typeof inner.additionalProperties === "object")
      visit(inner.additionalProperties, [...path, "NAME"], true);
    else {
      const preset =
        schema.default === undefined ? (required ? "needed" : "") : `\`${JSON.stringify(schema.default)}\``;
      rows.push(`| \`${path.join(".")}\` | ${schema.description ?? inner.description ?? ""} | ${preset} |`);
    }
  };
  visit(z.toJSONSchema(cloudSchema, { io: "input", unrepresentable: "any" }) as JsonSchema, [], true);
  return ["| key | means | default |", "| --- | --- | --- |", ...rows].join("\n");
}
