import * as z from "zod/mini";
import { secretRef } from "../seal.ts";
import { absolutePath } from "./file.ts";
import { databaseName } from "./mysql-database.ts";

/** One user of the database, by the node of this host, with exactly these privileges. */
export const mysqlUserSpec = z.strictObject({
  socket: absolutePath,
  user: z.string().check(z.regex(/^[a-z][a-z0-9_-]{0,30}$/)),
  /** Where it may come from: `localhost`, or a network as `10.0.0.0/255.255.255.0`. */
  from: z.string().check(z.regex(/^(localhost|[0-9.]{7,15}(\/[0-9.]{7,15})?)$/)),
  password: secretRef,
  /** On everything, as SHOW GRANTS names them, such as `PROCESS`; none: it may only connect. */
  privileges: z.array(z.string().check(z.regex(/^[A-Z]+( [A-Z]+){0,3}$/))).check(z.maxLength(30)),
  /** Databases on which it may do everything. */
  databases: z.array(databaseName).check(z.maxLength(30)),
});
export type MysqlUserSpec = z.infer<typeof mysqlUserSpec>;
