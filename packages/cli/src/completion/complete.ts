import type { Command, Option } from "commander";
import type { NamesView } from "@stackctl/protocol";

/** What may stand where the cursor is. */
export interface Completion {
  readonly candidates: readonly { readonly word: string; readonly description: string }[];
  /** True: the name of a file, which the shell knows best. */
  readonly files: boolean;
}

/** Words that go before the one at the cursor, and that one as far as it is typed. */
interface At {
  readonly names: NamesView;
  readonly operands: readonly string[];
  readonly typed: string;
}

/**
 * What an argument is, by its name in the command's usage: whoever adds a command with a `<host>` has hosts completed.
 * An argument that is not here is completed by nothing.
 */
export const argumentWords: Readonly<Record<string, (at: At) => readonly string[]>> = {
  host: ({ names }) => names.hosts,
  scope: ({ names, operands }) =>
    [...(operands.length === 0 ? ["aio", "controller", "compute"] : []), ...names.hosts].filter(
      (word) => !operands.includes(word),
    ),
  service: ({ names }) => names.services,
  target: ({ names, typed }) => [
    ...names.hosts,
    ...names.services,
    // Only once it is asked for: hosts times services are many.
    ...(typed.includes("@")
      ? names.services.flatMap((service) => names.hosts.map((host) => `${service}@${host}`))
      : []),
  ],
  resource: ({ names, operands }) => names.resources[operands[0] ?? ""] ?? [],
  "resource@host": ({ names }) =>
    Object.entries(names.resources).flatMap(([host, ids]) => ids.map((id) => `${id}@${host}`)),
  name: ({ names }) => names.secrets,
};

/**
 * What may follow these words, by the program's own tree of commands.
 * @param words all after the program's name; the last one is being typed and may be empty
 * @param namesOf the names in the cloud that `--cloud` names; asked only when they are needed
 */
export async function completionOf(
  program: Command,
  words: readonly string[],
  namesOf: (cloud: string | undefined) => Promise<NamesView>,
): Promise<Completion> {
  const { command, operands, open, used, cloud, onlyOperands } = walk(program, words.slice(0, -1));
  const typed = words.at(-1) ?? "";
  if (open !== null) return valuesOf(open, typed, "");

  if (typed.startsWith("-") && !onlyOperands) {
    const [flag = "", value] = typed.split("=", 2);
    const option = value === undefined ? undefined : command.options.find(({ long }) => long === flag);
    if (value !== undefined) return option === undefined ? none : valuesOf(option, typed, `${flag}=`);
    const options = command.createHelp().visibleOptions(command);
    return matching(
      options.flatMap(({ long, description }) =>
        long === undefined || used.has(long) ? [] : [{ word: long, description }],
      ),
      typed,
    );
  }
  if (command.commands.length > 0)
    return operands.length > 0
      ? none
      : matching(
          command
            .createHelp()
            .visibleCommands(command)
            .map((child) => ({ word: child.name(), description: child.description() })),
          typed,
        );
  const last = command.registeredArguments.at(-1);
  const argument =
    command.registeredArguments[operands.length] ?? (last?.variadic === true ? last : undefined);
  if (argument === undefined) return none;
  const choices = argument.argChoices;
  if (choices !== undefined) return matching(plain(choices), typed);
  const wanted = argumentWords[argument.name()];
  if (wanted === undefined) return none;
  return matching(plain(wanted({ names: await namesOf(cloud), operands, typed })), typed);
}

const none: Completion = { candidates: [], files: false };

/** Where the words before the cursor lead. */
interface Walk {
  command: Command;
  readonly operands: string[];
  /** An option whose value comes next. */
  open: Option | null;
  readonly used: Set<string>;
  cloud: string | undefined;
  onlyOperands: boolean;
}

function walk(program: Command, words: readonly string[]): Walk {
  const at: Walk = {
    command: program,
    operands: [],
    open: null,
    used: new Set(),
    cloud: undefined,
    onlyOperands: false,
  };
  const note = ({ long }: Option, value: string): void => {
    if (long === "--cloud") at.cloud = value;
  };
  for (const word of words) {
    if (at.open !== null) {
      note(at.open, word);
      at.open = null;
    } else if (at.onlyOperands) at.operands.push(word);
    else if (word === "--") at.onlyOperands = true;
    else if (word.startsWith("-")) {
      const [flag = "", value] = word.split("=", 2);
      const option = at.command.options.find(({ long, short }) => long === flag || short === flag);
      if (option === undefined) continue;
      at.used.add(option.long ?? flag);
      if (value !== undefined) note(option, value);
      else if (option.required || option.optional) at.open = option;
    } else {
      const child =
        at.operands.length > 0 ? undefined : at.command.commands.find((each) => each.name() === word);
      if (child === undefined) at.operands.push(word);
      else at.command = child;
    }
  }
  return at;
}

/** What an option may be given. */
function valuesOf(option: Option, typed: string, before: string): Completion {
  if (option.argChoices !== undefined)
    return matching(plain(option.argChoices.map((choice) => `${before}${choice}`)), typed);
  return { candidates: [], files: option.flags.includes("<file>") };
}

function plain(words: readonly string[]): Completion["candidates"] {
  return words.map((word) => ({ word, description: "" }));
}

function matching(candidates: Completion["candidates"], typed: string): Completion {
  return {
    candidates: candidates.filter(({ word }) => word.startsWith(typed)),
    files: false,
  };
}
