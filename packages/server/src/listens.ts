import { connect } from "node:net";

/** True when something takes connections there, within half a second. */
export function listens(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: 500 });
    const done = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => {
      done(true);
    });
    for (const event of ["error", "timeout"] as const) {
      socket.once(event, () => {
        done(false);
      });
    }
  });
}
