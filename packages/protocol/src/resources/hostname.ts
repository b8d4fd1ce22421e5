import * as z from "zod/mini";
import { hostName } from "../names.ts";

/** The host's own name, static and live. One per host; the resource's name is always `hostname`. */
export const hostnameSpec = z.strictObject({ hostname: hostName });
export type HostnameSpec = z.infer<typeof hostnameSpec>;
