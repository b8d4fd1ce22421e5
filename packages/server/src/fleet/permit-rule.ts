/** What the rule looks at of a permit that is wanted or given. */
export interface Wish {
  readonly wish: string;
  readonly cluster: string;
  readonly host: string;
  /** Null: not given yet. */
  readonly givenAt: string | null;
}

/** The members of a cluster that are not there, or not well, apart from how well the one is that asks. */
export type Away = (cluster: string, asks: string) => readonly string[];

/** Why a wish has to wait. */
export type Blocked =
  /** A member is away: one more must not go down. */
  | { readonly why: "away"; readonly host: string }
  /** Another one has the permit. */
  | { readonly why: "held"; readonly host: string; readonly since: string }
  /** It is free, but another one asked before. */
  | { readonly why: "queue"; readonly host: string };

/**
 * Why this wish cannot be given now; null: it can. A cluster's permit is given to one at a time, in the order of asking,
 * and only while every member is there, whatever time passes: a member that is away has to come back, or be removed from
 * the cloud. So two members are never down by our hand at once, nor one by our hand while another is down by itself.
 * Members are the hosts that hold a resource of the cluster and have made it once ({@link Members}); a host that was
 * away during all of the first apply is none yet, and holds nobody up. Pure.
 * @param wishes of all clusters, in the order of asking
 * @param away the members of the cluster that are not there now
 */
export function blocked(wish: Wish, wishes: readonly Wish[], away: Away): Blocked | null {
  const own = wishes.filter(({ cluster }) => cluster === wish.cluster);
  const holder = own.find(({ givenAt }) => givenAt !== null);
  if (holder !== undefined && holder.wish !== wish.wish)
    return { why: "held", host: holder.host, since: holder.givenAt ?? "" };
  const [gone] = away(wish.cluster, wish.host);
  if (gone !== undefined) return { why: "away", host: gone };
  // One that has to wait for another to be well holds nobody up: the other may be who asks.
  const first = own.find(({ cluster, host }) => away(cluster, host).length === 0);
  if (holder === undefined && first !== undefined && first.wish !== wish.wish)
    return { why: "queue", host: first.host };
  return null;
}

/** The wishes that are to be given now: at most one of each cluster. Pure. */
export function due(wishes: readonly Wish[], away: Away): Wish[] {
  return wishes.filter((wish) => wish.givenAt === null && blocked(wish, wishes, away) === null);
}
