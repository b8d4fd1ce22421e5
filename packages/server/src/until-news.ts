/**
 * Resolves at the next news, or after `waitMs`.
 * @param subscribe calls its argument at any news until what it returns is called
 */
export async function untilNews(subscribe: (heard: () => void) => () => void, waitMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      off();
      resolve();
    };
    const off = subscribe(done);
    const timer = setTimeout(done, waitMs);
  });
}
