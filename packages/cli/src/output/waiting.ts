import { duration, paint } from "./text.ts";

/** What is said of a wait: nothing before it took this long. */
const silentMs = 2000;

/**
 * Says on standard error what is waited for, and for how long by now, once it takes longer than 2 s. On a terminal the line
 * is redrawn and goes away at the end; elsewhere it is said once, and again when it becomes something else.
 * @param what a function when what is waited for changes meanwhile
 */
export async function whileWaiting<T>(what: string | (() => string), work: Promise<T>): Promise<T> {
  const begun = performance.now();
  const stream = process.stderr;
  const shown = { last: "" };
  const timer = setInterval(() => {
    const waitedMs = performance.now() - begun;
    if (waitedMs < silentMs) return;
    const now = typeof what === "string" ? what : what();
    if (!stream.isTTY && shown.last === now) return;
    shown.last = now;
    const text = `${now}, ${duration(Math.round(waitedMs / 1000))}`;
    stream.write(stream.isTTY ? `\r${paint("dim", text, stream)}\u001b[K` : `${text}\n`);
  }, 500);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    if (shown.last !== "" && stream.isTTY) stream.write("\r\u001b[K");
  }
}
