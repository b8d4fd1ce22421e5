/**
 * What the server has seen, as opposed to what it decided: it may be lost and is made again from heartbeats.
 * `applied` is the last result of each document, `floor` how far each agent's events were taken in.
 */
export const projectionTables = `
  CREATE TABLE IF NOT EXISTS event (n INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, host TEXT, service TEXT, resource TEXT,
    type TEXT NOT NULL, text TEXT NOT NULL, run INTEGER) STRICT;
  CREATE INDEX IF NOT EXISTS event_resource ON event (host, resource);
  CREATE INDEX IF NOT EXISTS event_run ON event (run);
  CREATE TABLE IF NOT EXISTS floor (host TEXT PRIMARY KEY, incarnation INTEGER NOT NULL, n INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS applied (host TEXT NOT NULL, service TEXT NOT NULL, incarnation INTEGER NOT NULL, seq INTEGER NOT NULL,
    digest TEXT NOT NULL, outcome TEXT NOT NULL, seconds REAL NOT NULL, resources TEXT NOT NULL, PRIMARY KEY (host, service)) STRICT;
  CREATE TABLE IF NOT EXISTS seen (host TEXT PRIMARY KEY, at TEXT NOT NULL, bootId TEXT NOT NULL, status TEXT NOT NULL) STRICT;
`;

/** Events beyond this many are dropped, oldest first. */
export const keptEvents = 50_000;
