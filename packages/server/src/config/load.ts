import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename } from "node:path";
import { distance } from "fastest-levenshtein";
import { StackctlError, type Mistake } from "@stackctl/protocol";
import {
  isMap,
  isNode,
  isPair,
  isScalar,
  LineCounter,
  parseDocument,
  visit,
  type Document,
  type Node,
  type Pair,
} from "yaml";
import type { z } from "zod";
import { crossCheck, modelOf, type Finding } from "./checks.ts";
import { byDefault, type LoadedCloud } from "./model.ts";
import { cloudSchema } from "./schema.ts";

/** Longer files are no cloud of ours, whatever they are. */
const longest = 1_000_000;

/**
 * Reads a cloud's file.
 * @throws StackctlError `cloud_missing`, or `cloud_invalid` with every mistake in the order of the file
 */
export function loadCloud(file: string): LoadedCloud {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw new StackctlError("cloud_missing", `there is no ${file}`, {
      details: { remedy: "make one with: stackctl init" },
      cause,
    });
  }
  return parseCloud(text, file);
}

/** A cloud from its file's text. @throws StackctlError `cloud_invalid` */
export function parseCloud(text: string, file: string): LoadedCloud {
  const name = basename(file);
  const lines = new LineCounter();
  const at = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const fail = (mistakes: readonly Mistake[]): never => {
    const sorted = mistakes.toSorted((a, b) => a.line - b.line || a.column - b.column);
    const count = sorted.length === 1 ? "1 mistake" : `${String(sorted.length)} mistakes`;
    throw new StackctlError("cloud_invalid", `${count}, nothing was touched.`, {
      details: { mistakes: sorted },
    });
  };
  if (text.length > longest)
    fail([
      {
        file: name,
        line: 1,
        column: 1,
        path: "",
        message: `the file has ${String(text.length)} characters; that is no cloud`,
      },
    ]);

  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: true,
    strict: true,
    customTags: [],
    prettyErrors: false,
  });
  const syntax = [...document.errors, ...document.warnings].map(({ pos, message }): Mistake => ({
    file: name,
    ...at(pos[0]),
    path: "",
    message: sentence(message),
  }));
  visit(document, {
    Alias: (_key, node) => {
      syntax.push({
        file: name,
        ...at(node.range?.[0] ?? 0),
        path: "",
        message: "aliases (*name) are not used here; write the value out",
      });
    },
  });
  if (syntax.length > 0) fail(syntax);

  const raw: unknown = document.toJS({ maxAliasCount: 0 });
  const place = (path: readonly string[], key: boolean): Pick<Mistake, "file" | "line" | "column"> => ({
    file: name,
    ...at(offsetOf(document, path, key)),
  });
  if (raw === undefined || raw === null || typeof raw !== "object" || Array.isArray(raw)) {
    return fail([
      {
        file: name,
        line: 1,
        column: 1,
        path: "",
        message: "the file describes nothing; make one with: stackctl init",
      },
    ]);
  }
  const parsed = cloudSchema.safeParse(raw);
  const mistakes: Mistake[] = [];
  if (!parsed.success)
    for (const issue of parsed.error.issues) mistakes.push(...mistakesOf(issue, raw, place));
  // Keys that are wrong on their own hide what they are wrong together with; the rest is still worth telling.
  const findings: Finding[] = parsed.success ? crossCheck(parsed.data) : [];
  for (const { path, message } of findings)
    mistakes.push({ ...place(path, path.length < 3 && path[0] === "hosts"), path: path.join("."), message });
  if (!parsed.success || mistakes.length > 0) return fail(mistakes);
  return {
    cloud: modelOf(parsed.data, homedir()),
    text,
    file,
    origin: (path) =>
      Object.hasOwn(raw, path[0] ?? "")
        ? `${name}:${String(at(offsetOf(document, path, true)).line)}`
        : byDefault,
  };
}

/** What one of zod's issues means in a person's words. */
function mistakesOf(
  issue: z.core.$ZodIssue,
  raw: unknown,
  place: (path: readonly string[], key: boolean) => Pick<Mistake, "file" | "line" | "column">,
): Mistake[] {
  const path = issue.path.map(String);
  const value = path.reduce<unknown>(
    (inner, key) =>
      typeof inner === "object" && inner !== null ? (inner as Record<string, unknown>)[key] : undefined,
    raw,
  );
  const found = show(value);
  const one = (message: string): Mistake[] => [
    { ...place(path, value === undefined), path: path.join("."), message },
  ];
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => {
        const near = nearest(key, keysAt(path));
        return {
          ...place([...path, key], true),
          path: [...path, key].join("."),
          message: /pass(word|phrase)/i.test(key)
            ? "unknown key; this file is no place for secrets, they go into the vault: stackctl secret set"
            : `unknown key${near === null ? "" : `; did you mean "${near}"?`}`,
        };
      });
    case "invalid_type":
      if (value === undefined) return one("is missing");
      return one(`${found} is not ${article(issue.expected)}`);
    case "invalid_value": {
      const choices = issue.values.map(String);
      const near = typeof value === "string" ? nearest(value, choices) : null;
      return one(
        value === undefined
          ? `is missing; it is one of ${choices.join(", ")}`
          : `${found} is none of ${choices.join(", ")}${near === null ? "" : `; did you mean "${near}"?`}`,
      );
    }
    case "custom":
      return one(issue.message);
    case "too_small":
    case "too_big":
      return one(
        issue.message.startsWith("Too")
          ? `${found} is too ${issue.code === "too_small" ? "small" : "large"}`
          : `${typeof value === "object" ? "" : `${found} `}${issue.message}`,
      );
    case "invalid_union": {
      // Of the forms that it may have, the one that it was meant to have: not wrong as a whole.
      const meant = issue.errors.find((issues) =>
        issues.every((each) => each.code !== "invalid_type" || each.path.length > 0),
      );
      if (meant === undefined)
        return one(
          issue.message.startsWith("Invalid") ? `${found} is not right here` : `${found} ${issue.message}`,
        );
      return meant.flatMap((each) =>
        mistakesOf({ ...each, path: [...issue.path, ...each.path] }, raw, place),
      );
    }
    case "invalid_format":
    case "invalid_key":
    case "invalid_element":
    case "not_multiple_of":
      return one(
        issue.message.startsWith("Invalid") ? `${found} is not right here` : `${found} ${issue.message}`,
      );
  }
}

/** Where a key or its value begins; of the nearest parent that exists, when it does not. */
function offsetOf(document: Document, path: readonly string[], key: boolean): number {
  let node: unknown = document.contents;
  let offset = 0;
  for (const [index, name] of path.entries()) {
    const pair: Pair | undefined = isMap(node)
      ? node.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === name)
      : undefined;
    if (pair === undefined) {
      const items = isNode(node) && "items" in node ? (node.items as unknown[]) : [];
      const item = items[Number(name)];
      if (isMap(node) || !isNode(item)) return offset;
      node = item;
      offset = start(item);
      continue;
    }
    const last = index === path.length - 1;
    const here = last && !key && isNode(pair.value) ? pair.value : (pair.key as Node);
    offset = start(here);
    node = pair.value;
  }
  return offset;
}

function start(node: Node): number {
  return node.range?.[0] ?? 0;
}

/** The keys that the schema knows at a path. */
function keysAt(path: readonly string[]): string[] {
  let schema: unknown = cloudSchema;
  for (const key of path) schema = inner(schema, key);
  const shape = shapeOf(schema);
  return shape === null ? [] : Object.keys(shape);
}

function inner(schema: unknown, key: string): unknown {
  const shape = shapeOf(schema);
  if (shape !== null) return shape[key];
  const definition = definitionOf(schema);
  return definition?.["valueType"] ?? definition?.["element"];
}

function shapeOf(schema: unknown): Record<string, unknown> | null {
  const definition = definitionOf(schema);
  if (definition === null) return null;
  if (definition["type"] === "object") return definition["shape"] as Record<string, unknown>;
  if (definition["type"] === "union")
    return (definition["options"] as unknown[]).map(shapeOf).find((shape) => shape !== null) ?? null;
  return "innerType" in definition ? shapeOf(definition["innerType"]) : null;
}

function definitionOf(schema: unknown): Record<string, unknown> | null {
  return typeof schema === "object" && schema !== null && "def" in schema
    ? (schema.def as Record<string, unknown>)
    : null;
}

function nearest(word: string, choices: readonly string[]): string | null {
  const best = choices
    .map((choice) => ({ choice, far: distance(word.toLowerCase(), choice.toLowerCase()) }))
    .sort((a, b) => a.far - b.far)[0];
  return best !== undefined && best.far <= Math.max(2, Math.floor(best.choice.length / 3))
    ? best.choice
    : null;
}

function show(value: unknown): string {
  if (typeof value === "string") return value === "" ? "an empty text" : value;
  if (value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "a map of keys" : JSON.stringify(value);
}

function article(expected: string): string {
  const words: Record<string, string> = {
    string: "a text",
    number: "a number",
    int: "a whole number",
    object: "a map of keys",
    record: "a map of keys",
    array: "a list",
    boolean: "true or false",
  };
  return words[expected] ?? expected;
}

/** yaml's own message as one sentence in our tone. */
function sentence(message: string): string {
  const first = message.split("\n")[0] ?? message;
  if (/Map keys must be unique/.test(first)) return "this key stands twice; keep one";
  if (/Unresolved tag/.test(first)) return "tags (!name) are not used here; write plain values";
  if (/Tabs are not allowed/.test(first)) return "a tab stands where spaces are needed";
  return first.charAt(0).toLowerCase() + first.slice(1);
}
