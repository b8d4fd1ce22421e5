import type { FileSpec, SecretRef } from "@stackctl/protocol";

/** A value: text, or a number, or text with secrets in it, in parts. */
export type IniValue = string | number | readonly (string | SecretRef)[];
/** Sections in order, each with its keys in order. */
export type Ini = Readonly<Record<string, Readonly<Record<string, IniValue>>>>;

const sectionName = /^[A-Za-z0-9][A-Za-z0-9_.:-]*$/;
const keyName = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;
/** Text that every reader of such files takes literally: no quotes, no escapes, no comments, nothing at the ends. */
const plain = /^[^\s#;"'\\](?:[^\n\r#"'\\]*[^\s#"'\\])?$/;

/**
 * A file of sections with `key = value`, as the parts of a file's spec, so that secrets stay references.
 * @throws Error for what would not be read as it was meant
 */
export function renderIni(ini: Ini): FileSpec["content"] {
  const parts: FileSpec["content"] = [];
  let text = "# Managed by stackctl. Local edits are reverted.\n";
  for (const [section, values] of Object.entries(ini)) {
    assert(sectionName.test(section), section);
    text += `\n[${section}]\n`;
    for (const [key, value] of Object.entries(values)) {
      assert(keyName.test(key), key);
      const given = typeof value === "object" ? value : [String(value)];
      // A secret is made by us, of letters and digits.
      assert(plain.test(given.map((part) => (typeof part === "string" ? part : "x")).join("")), key);
      text += `${key} = `;
      for (const part of given) {
        if (typeof part === "string") text += part;
        else {
          parts.push({ text }, { secret: part });
          text = "";
        }
      }
      text += "\n";
    }
  }
  return [...parts, { text }];
}

/** What {@link renderIni} wrote, read back. */
export function parseIni(text: string): Record<string, Record<string, string>> {
  const ini: Record<string, Record<string, string>> = {};
  let section: Record<string, string> | null = null;
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const name = /^\[(.+)\]$/.exec(line)?.[1];
    if (name !== undefined) {
      section = {};
      ini[name] = section;
      continue;
    }
    const [, key, value] = /^([^ =]+) = (.+)$/.exec(line) ?? [];
    assert(section !== null && key !== undefined && value !== undefined, line);
    if (section !== null && key !== undefined && value !== undefined) section[key] = value;
  }
  return ini;
}

function assert(holds: boolean, what: string): void {
  if (!holds) throw new Error(`not for a file of this kind: ${what}`);
}
