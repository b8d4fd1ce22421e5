import * as z from "zod/mini";
import { hostName } from "../names.ts";

/** Which hosts a run or plan is about. */
export const scope = z.union([
  z.enum(["aio", "controller", "compute"]),
  z.array(hostName).check(z.minLength(1), z.maxLength(1000)),
]);
export type Scope = z.infer<typeof scope>;
