// @peculiar/x509 is built on decorators and wants this first.
import "reflect-metadata";
import { createPrivateKey, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

/** A certificate authority of one cloud, PEM. */
export interface Authority {
  readonly caCert: string;
  readonly caKey: string;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const year = 365 * 86_400_000;

/** A new authority, good for 10 years. Nothing but this cloud's own agents and command line trusts it. */
export async function makeAuthority(): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const now = Date.now();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=stackctl authority",
    notBefore: new Date(now - 86_400_000),
    notAfter: new Date(now + 10 * year),
    signingAlgorithm: algorithm,
    keys: keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { caCert: certificate.toString("pem"), caKey: await pem(keys.privateKey) };
}

/** A server's certificate for one DNS name, good for 2 years; clients check that name, whatever the address is. */
export async function makeServerCertificate(
  authority: Authority,
  dnsName: string,
): Promise<{ cert: string; key: string }> {
  const issuer = new x509.X509Certificate(authority.caCert);
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const signingKey = await webcrypto.subtle.importKey(
    "pkcs8",
    createPrivateKey(authority.caKey).export({ format: "der", type: "pkcs8" }),
    algorithm,
    false,
    ["sign"],
  );
  const now = Date.now();
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `CN=${dnsName}`,
    issuer: issuer.subject,
    notBefore: new Date(now - 86_400_000),
    notAfter: new Date(now + 2 * year),
    signingAlgorithm: algorithm,
    signingKey,
    publicKey: keys.publicKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: "dns", value: dnsName }]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return { cert: certificate.toString("pem"), key: await pem(keys.privateKey) };
}

/** True when a PEM certificate is for this DNS name and good for at least `msLeft` more. */
export function isCertificateOf(certificate: string, dnsName: string, msLeft: number): boolean {
  const parsed = new x509.X509Certificate(certificate);
  const names = parsed.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? [];
  return (
    names.some(({ type, value }) => type === "dns" && value === dnsName) &&
    parsed.notAfter.getTime() >= Date.now() + msLeft
  );
}

async function pem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({
    format: "pem",
    type: "pkcs8",
  });
}
