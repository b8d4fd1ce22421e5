import { connect, createServer, type Server } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/**
 * Does a piece of work while nobody else on this machine holds the lock of that name. The kernel takes the lock back
 * however its holder ends, so there is nothing stale: it is an abstract Unix socket (unix(7)), not a file.
 * Waits as long as the holder needs, and says whom it waits for.
 */
export async function locked<T>(
  name: string,
  holder: string,
  say: (text: string) => void,
  work: () => Promise<T>,
): Promise<T> {
  let told = false;
  let server = await take(name, holder);
  while (server === null) {
    if (!told) say(`waiting for: ${(await askHolder(name)) ?? "another lab command"}`);
    told = true;
    await pause(200);
    server = await take(name, holder);
  }
  try {
    return await work();
  } finally {
    server.close();
  }
}

/** Takes the lock of that name for as long as this process lives or the server is open; null when somebody has it. */
export function take(name: string, holder: string): Promise<Server | null> {
  const server = createServer((socket) => {
    // Whoever asks may be gone before the answer is.
    socket.on("error", () => undefined);
    socket.end(`${holder}, process ${String(process.pid)}`);
  });
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      if ("code" in error && error.code === "EADDRINUSE") resolve(null);
      else reject(error);
    });
    server.listen({ path: `\0stackctl-lab-${name}` }, () => {
      resolve(server);
    });
  });
}

function askHolder(name: string): Promise<string | null> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect({ path: `\0stackctl-lab-${name}`, timeout: 1000 });
    socket.setEncoding("utf8").on("data", (text: string) => (answer += text));
    socket.once("timeout", () => socket.destroy());
    // The holder may have ended just now.
    socket.once("error", () => undefined);
    socket.once("close", () => {
      resolve(answer === "" ? null : answer);
    });
  });
}
