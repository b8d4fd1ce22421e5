/** How much may be sent: a store that fills evenly, and from which is taken until it is empty. */
export class Budget {
  readonly #most: number;
  readonly #perSecond: number;
  readonly #now: () => number;
  #left: number;
  #atMs: number;

  /** @param most what it holds when it is full, as it is at first */
  constructor(most: number, perSecond: number, now: () => number = () => performance.now()) {
    this.#most = most;
    this.#perSecond = perSecond;
    this.#now = now;
    this.#left = most;
    this.#atMs = now();
  }

  /** False: it is empty just now. */
  hasRoom(): boolean {
    const now = this.#now();
    this.#left = Math.min(this.#most, this.#left + ((now - this.#atMs) / 1000) * this.#perSecond);
    this.#atMs = now;
    return this.#left > 0;
  }

  /** Takes so much, which may leave it in debt. @returns false when it was empty, and nothing was taken */
  take(amount: number): boolean {
    if (!this.hasRoom()) return false;
    this.#left -= amount;
    return true;
  }
}
