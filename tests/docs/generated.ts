import { everyCommand, makeProgram } from "@stackctl/cli/program.ts";
import {
  apiMethods,
  applyResult,
  configView,
  eventView,
  imageList,
  imagePruned,
  logEntry,
  planResult,
  preflightRow,
  renderView,
  runRow,
  statusResult,
  upgradeView,
} from "@stackctl/protocol";
import { renderReference } from "@stackctl/server/config/reference.ts";
import { z } from "zod";

/** Every command, one line each, as `docs/cli.md` shows it between its marks. */
export function commandTable(): string {
  const rows: string[] = [];
  everyCommand(makeProgram(), (command) => {
    const shown = command.parent?.createHelp().visibleCommands(command.parent).includes(command) ?? true;
    if (command.commands.length > 0 || !shown) return;
    const words: string[] = [];
    for (let each: typeof command | null = command; each !== null; each = each.parent)
      words.unshift(each.name());
    const usage = command.usage().replace("[options] ", "").replace("[options]", "");
    const options = command.options
      .filter(({ long }) => long !== "--json" && long !== "--cloud")
      .map(({ flags, description }) => `\`${flags}\` ${description}`);
    rows.push(
      `| \`${[...words, usage].join(" ").trim().replaceAll("|", "\\|")}\` | ${command.description()} | ${options.join("; ")} |`,
    );
  });
  return ["| command | does | options |", "| --- | --- | --- |", ...rows].join("\n");
}

/** The forms of what `--json` prints, by file name in `docs/json-schema`. */
export function jsonSchemas(): Record<string, string> {
  const forms = {
    apply: applyResult,
    plan: planResult,
    status: statusResult,
    event: eventView,
    log: logEntry,
    upgrade: upgradeView,
    preflight: z.array(preflightRow),
    "image-list": imageList,
    "image-prune": imagePruned,
    drift: apiMethods.drift.answer.shape.drift,
    config: configView,
    render: renderView,
    runs: z.array(runRow),
  };
  return Object.fromEntries(
    Object.entries(forms).map(([name, form]) => [
      `${name}.json`,
      `${JSON.stringify(z.toJSONSchema(form), null, 2)}\n`,
    ]),
  );
}

/** The reference of `cloud.yaml`, as `docs/cloud-yaml.md` shows it between its marks. */
export const cloudTable = renderReference;

const begin = "<!-- generated: written by npm run fix -->";
const end = "<!-- end of what is generated -->";

/** What stands between the marks of a page. @throws Error when the marks are not there */
export function generatedPart(page: string): string {
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from === -1 || to < from) throw new Error("the page has no marks for what is generated");
  return page.slice(from + begin.length, to).trim();
}

/** The page with another text between its marks. */
export function withGeneratedPart(page: string, text: string): string {
  generatedPart(page);
  return `${page.slice(0, page.indexOf(begin) + begin.length)}\n\n${text}\n\n${page.slice(page.indexOf(end))}`;
}
