import { duration, paint } from "./text.ts";

/** Says on standard error what is waited for, once it takes longer than 2 s; on a terminal the line is redrawn. */
export async function whileWaiting<T>(what: string, work: Promise<T>): Promise<T> {
  const begun = performance.now();
  const terminal = process.stderr.isTTY;
  const shown = { once: false };
  const timer = setInterval(() => {
    const seconds = (performance.now() - begun) / 1000;
    if (seconds < 2 || (shown.once && !terminal)) return;
    shown.once = true;
    const text = `${what}, ${duration(Math.round(seconds))}`;
    process.stderr.write(terminal ? `\r${paint("dim", text, process.stderr)}\u001b[K` : `${text}\n`);
  }, 500);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    if (shown.once && terminal) process.stderr.write("\r\u001b[K");
  }
}
