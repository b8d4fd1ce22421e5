import type { Web } from "./host.ts";

/** HTTP by Node's own client, which knows of no proxy: it is only ever asked of the cloud's own hosts. */
export function linuxWeb(): Web {
  return {
    ask: async ({ method, url, headers = {}, body = null }, timeoutMs) => {
      try {
        const response = await fetch(url, {
          method,
          headers,
          body,
          redirect: "manual",
          signal: AbortSignal.timeout(timeoutMs),
        });
        return {
          status: response.status,
          header: (name) => response.headers.get(name),
          text: await response.text(),
        };
      } catch (error) {
        // What fetch throws says: no whole answer came. Anything else is a fault of ours, such as a URL that is none.
        if (error instanceof TypeError || (error instanceof DOMException && error.name === "TimeoutError"))
          return null;
        throw error;
      }
    },
  };
}
