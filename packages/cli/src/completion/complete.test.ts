import type { NamesView } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import { everyCommand, makeProgram } from "../program.ts";
import { argumentWords, completionOf } from "./complete.ts";

const names: NamesView = {
  hosts: ["controller1", "compute1"],
  services: ["chrony", "docker"],
  secrets: ["packages-proxy-password"],
  resources: { controller1: ["chrony/chrony", "docker-engine/docker"], compute1: ["chrony/chrony"] },
};
let asked: (string | undefined)[] = [];

/** The words that may follow a line, `|` being what the shell does with files. */
async function after(line: string): Promise<string[]> {
  asked = [];
  const { candidates, files } = await completionOf(makeProgram(), line.split(" ").slice(1), (cloud) => {
    asked.push(cloud);
    return Promise.resolve(names);
  });
  return files ? ["|"] : candidates.map(({ word }) => word);
}

describe("completionOf", () => {
  it.each([
    ["stackctl pl", ["plan"]],
    ["stackctl runs ", ["list", "attach", "help"]],
    ["stackctl runs at", ["attach"]],
    ["stackctl completion ", ["bash", "zsh", "fish"]],
    ["stackctl hold --w", ["--why"]],
    ["stackctl plan --json --j", []],
    ["stackctl --json pl", ["plan"]],
    ["stackctl --cloud ", ["|"]],
    ["stackctl --cloud=", ["|"]],
    ["stackctl --cloud a.yaml pl", ["plan"]],
    ["stackctl hold x --for ", []],
    ["stackctl runs attach ", []],
    ["stackctl nonsense ", []],
    ["stackctl complet", ["completion"]],
  ])("knows from the commands alone what follows: %s", async (line, words) => {
    await expect(after(line)).resolves.toEqual(words);
    expect(asked).toEqual([]);
  });

  it.each([
    ["stackctl render c", ["controller1", "compute1"]],
    ["stackctl render compute1 d", ["docker"]],
    ["stackctl render compute1 docker ", []],
    ["stackctl apply ", ["aio", "controller", "compute", "controller1", "compute1"]],
    ["stackctl apply controller1 c", ["compute1"]],
    ["stackctl plan -- c", ["controller", "compute", "controller1", "compute1"]],
    ["stackctl repair compute1 ", ["chrony/chrony"]],
    ["stackctl why chrony/chrony@c", ["chrony/chrony@controller1", "chrony/chrony@compute1"]],
    ["stackctl hold ", ["controller1", "compute1", "chrony", "docker"]],
    ["stackctl release docker@c", ["docker@controller1", "docker@compute1"]],
    ["stackctl secret set ", ["packages-proxy-password"]],
  ])("takes names from the cloud: %s", async (line, words) => {
    await expect(after(line)).resolves.toEqual(words);
  });

  it("asks the cloud that the line names", async () => {
    await after("stackctl --cloud other.yaml render ");
    expect(asked).toEqual(["other.yaml"]);
    await after("stackctl render --cloud=third.yaml c");
    expect(asked).toEqual(["third.yaml"]);
  });

  it("says what each command does", async () => {
    const { candidates } = await completionOf(makeProgram(), ["drif"], () => Promise.resolve(names));
    expect(candidates).toEqual([{ word: "drift", description: "what differs from what it should be, now" }]);
  });

  it("has words for every argument that a command takes, but for those that only a person knows", () => {
    const free = new Set(["id", "words", "shell"]);
    const unknown: string[] = [];
    everyCommand(makeProgram(), (command) => {
      for (const argument of command.registeredArguments)
        if (!(argument.name() in argumentWords) && !free.has(argument.name()))
          unknown.push(`${command.name()} ${argument.name()}`);
    });
    expect(unknown).toEqual([]);
  });
});
