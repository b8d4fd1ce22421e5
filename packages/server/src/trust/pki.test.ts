import { X509Certificate } from "node:crypto";
import { natsTlsName } from "@stackctl/protocol";
import { expect, it } from "vitest";
import { isCertificateOf, makeAuthority, makeServerCertificate } from "./pki.ts";

const authority = await makeAuthority();
const { cert, key } = await makeServerCertificate(authority, natsTlsName);
const years = (pem: string): number =>
  (Date.parse(new X509Certificate(pem).validTo) - Date.now()) / (365 * 86_400_000);

it("makes a certificate for exactly one name, for servers only, signed by the authority", () => {
  const leaf = new X509Certificate(cert);
  const root = new X509Certificate(authority.caCert);
  expect(leaf.verify(root.publicKey)).toBe(true);
  expect(leaf.checkIssued(root)).toBe(true);
  expect(leaf.subjectAltName).toBe(`DNS:${natsTlsName}`);
  expect(leaf.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]); // serverAuth, RFC 5280 section 4.2.1.12
  expect(leaf.ca).toBe(false);
  expect(root.ca).toBe(true);
  expect(leaf.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });
  expect(key).toMatch(/^-----BEGIN PRIVATE KEY-----/);
});

it("says when they end: the authority in 10 years, the certificate in 2", () => {
  expect(years(authority.caCert)).toBeCloseTo(10, 2);
  expect(years(cert)).toBeCloseTo(2, 2);
});

it("tells whether a certificate is for a name and good for long enough", () => {
  expect(isCertificateOf(cert, natsTlsName, 86_400_000)).toBe(true);
  expect(isCertificateOf(cert, "another.name", 0)).toBe(false);
  expect(isCertificateOf(cert, natsTlsName, 3 * 365 * 86_400_000)).toBe(false);
});

it("makes another key for each", async () => {
  const other = await makeServerCertificate(authority, natsTlsName);
  expect(other.key).not.toBe(key);
  expect((await makeAuthority()).caKey).not.toBe(authority.caKey);
});
