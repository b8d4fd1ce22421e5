import * as z from "zod/mini";
import { secretRef } from "../seal.ts";

/** `http://host:port`, without credentials. */
export const proxyUrl = z.string().check(z.regex(/^http:\/\/[A-Za-z0-9.-]+:[0-9]{1,5}$/));
/** Null: the proxy asks for no password. */
export const proxyLogin = z.nullable(
  z.strictObject({
    user: z.string().check(z.regex(/^[A-Za-z0-9._-]{1,64}$/)),
    password: secretRef,
  }),
);

/** The proxy that apt goes through. One per host; the resource's name is always `proxy`. */
export const aptProxySpec = z.strictObject({
  url: proxyUrl,
  login: proxyLogin,
  /** Host names and addresses that are reached directly. */
  direct: z.array(z.string().check(z.regex(/^[A-Za-z0-9.-]{1,253}$/))).check(z.maxLength(200)),
});
export type AptProxySpec = z.infer<typeof aptProxySpec>;
