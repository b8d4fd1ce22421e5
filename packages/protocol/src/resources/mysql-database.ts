import * as z from "zod/mini";
import { absolutePath } from "./file.ts";

/** The name of a database. */
export const databaseName = z.string().check(z.regex(/^[a-z][a-z0-9_]{0,62}$/));

/** One database, by the node of this host. It holds data: taken out of the cloud it stays. The resource's name is its own. */
export const mysqlDatabaseSpec = z.strictObject({
  socket: absolutePath,
  database: databaseName,
});
export type MysqlDatabaseSpec = z.infer<typeof mysqlDatabaseSpec>;
