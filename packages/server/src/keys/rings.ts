/** The rings of keys that keystones share: what they sign tokens with, and what they encrypt credentials with. */
export const ringNames = ["fernet", "credential"] as const;
export type RingName = (typeof ringNames)[number];

/** One ring as it was decided. */
export interface Ring {
  /** Only ever grows. */
  readonly generation: number;
  /** By index, the version of the ring's secret that is the key there: the highest signs, 0 is the one that signs next. */
  readonly keys: Readonly<Record<string, number>>;
}

/** The secret whose versions are the keys of a ring; one that left the ring stays in the vault. */
export function ringSecret(ring: RingName): string {
  return `keystone-${ring}-key`;
}
