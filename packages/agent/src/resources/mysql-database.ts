import type { Behaviour, State } from "../engine/resource.ts";

/** Keeps a database there. It holds data: when the cloud does not ask for it any more, it stays. */
export const mysqlDatabase: Behaviour<"mysql-database"> = {
  read: async ({ host }, { socket, database }): Promise<State> => ({
    exists: await host.database.exists(socket, database),
  }),
  desired: (): State => ({ exists: true }),
  async apply({ host }, { socket, database }) {
    await host.database.create(socket, database);
  },
  // Kept: what is in it is somebody's.
  remove: () => Promise.resolve(),
  owns: ({ database }) => [`database:${database}`],
  keeps: (_context, { database }) => database,
  restarts: () => [],
  disrupts: () => null,
  watch: () => ({}),
};
