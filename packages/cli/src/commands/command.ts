import { isAbsolute } from "node:path";
import { InvalidArgumentError, type Command } from "commander";
import type { Scope } from "@stackctl/protocol";
import { findPlace, type Place } from "../place.ts";
import { harmless } from "../output/text.ts";
import { Session } from "../session.ts";

/** What every command shares. */
export interface Shared {
  readonly place: Place;
  readonly json: boolean;
}

/** The options that stand before or after any command. */
export function shared(command: Command): Shared {
  const { cloud, json } = command.optsWithGlobals<{ cloud?: string; json?: boolean }>();
  return { place: findPlace(cloud), json: json === true };
}

/** A short remark that is no result: on standard error, in place of what is said there of a wait. */
export function remark(text: string): void {
  process.stderr.write(`${process.stderr.isTTY ? "\r\u001b[K" : ""}${text}\n`);
}

/** Work with the server, which is started when none runs. */
export async function withServer<T>(place: Place, work: (session: Session) => Promise<T>): Promise<T> {
  const session = new Session(place, remark);
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

/** Prints a result: exactly the object with `--json`, its text otherwise. */
export function print<T>(json: boolean, result: T, text: (shown: T) => string): void {
  process.stdout.write(`${json ? JSON.stringify(result, null, 2) : text(harmless(result))}\n`);
}

/**
 * The ssh agent of whoever types this, for a command that may log in: the server may have been started elsewhere, and
 * cannot know it.
 */
export function ownSshAgent(): { sshAgent?: string } {
  const socket = process.env["SSH_AUTH_SOCK"] ?? "";
  return isAbsolute(socket) ? { sshAgent: socket } : {};
}

/** The scope that was named; nothing named: everything. */
export function scopeOf(words: readonly string[]): Scope {
  const [first] = words;
  if (first === undefined) return "aio";
  if (words.length === 1 && (first === "aio" || first === "controller" || first === "compute")) return first;
  return [...words];
}

/** How many of something are wanted, for an option. @throws InvalidArgumentError */
export function limitOf(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 500)
    throw new InvalidArgumentError("a number from 1 to 500 is needed");
  return value;
}
