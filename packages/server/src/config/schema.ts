import { hostNamePattern } from "@stackctl/protocol";
import { z } from "zod";
import { addressNumber, networkText, parseCidr } from "./address.ts";

const address = z.string().superRefine((text, context) => {
  if (addressNumber(text) === null)
    context.addIssue({ code: "custom", message: `${text} is not an IPv4 address` });
});

const cidr = z.string().superRefine((text, context) => {
  const parsed = parseCidr(text);
  if (parsed === null)
    context.addIssue({ code: "custom", message: `${text} is not a network; write it as 10.10.0.0/24` });
  else if (networkText(parsed) !== text)
    context.addIssue({
      code: "custom",
      message: `${text} is an address in a network; did you mean ${networkText(parsed)}?`,
    });
  else if (parsed.bits < 8 || parsed.bits > 29)
    context.addIssue({
      code: "custom",
      message: `${text} is too ${parsed.bits < 8 ? "large" : "small"}; /8 to /29 are allowed`,
    });
});

const interfaceName = z
  .string()
  .regex(/^[a-zA-Z][a-zA-Z0-9_.-]{0,14}$/, "is not the name of a NIC, such as eth0 or ens3");
const port = z
  .int("must be a port, 1 to 65535")
  .min(1, "must be a port, 1 to 65535")
  .max(65535, "must be a port, 1 to 65535");
const serverName = z.string().regex(/^[A-Za-z0-9.:-]{1,253}$/, "is not a DNS name or an IP address");
const mirror = z
  .string()
  .regex(
    /^https?:\/\/[A-Za-z0-9.:-]+(\/[A-Za-z0-9._~/-]*)?$/,
    "is not a URL such as http://deb.debian.org/debian",
  );

const proxy = z.string().superRefine((text, context) => {
  if (/^https?:\/\/[^@/]*:[^@/]*@/.test(text)) {
    context.addIssue({
      code: "custom",
      message:
        "holds a password, and this file is no place for one; leave it out and: stackctl secret set packages-proxy-password",
    });
  } else if (!/^http:\/\/([A-Za-z0-9._-]{1,64}@)?[A-Za-z0-9.-]+:[0-9]{1,5}$/.test(text)) {
    context.addIssue({
      code: "custom",
      message: `${text} is not a proxy; write it as http://proxy.example.org:3128 or http://user@proxy.example.org:3128`,
    });
  }
});

const duration = z.string().superRefine((text, context) => {
  const seconds = parseDuration(text);
  if (seconds === null)
    context.addIssue({ code: "custom", message: `${text} is not a duration; write it as 90s, 5m or 2h` });
  else if (seconds < 20 || seconds > 86_400)
    context.addIssue({ code: "custom", message: `${text} is out of range; 20s to 24h are allowed` });
});

const network = z.strictObject({
  cidr: cidr.describe("The network, such as `10.10.0.0/24`"),
  interface: interfaceName.describe("The hosts' NIC on it"),
  gateway: address.nullable().default(null).describe("Its router"),
  pool: z
    .string()
    .regex(/^[0-9.]+-[0-9.]+$/, "is not a range; write it as 192.168.2.100-192.168.2.200")
    .nullable()
    .default(null)
    .describe("Addresses for floating IPs, first-last"),
});

const sshUser = z.string().regex(/^[a-z_][a-z0-9_-]{0,31}$/, "is not a user name");
const hostKey = z
  .string()
  .regex(/^SHA256:[A-Za-z0-9+/]{43}$/, "is not a fingerprint such as ssh-keygen -l prints it");
const machine = z.string().superRefine((text, context) => {
  const wrong = machineProblem(text);
  if (wrong !== null) context.addIssue({ code: "custom", message: wrong });
});

const jumpHost = z.union(
  [
    z.string().superRefine((text, context) => {
      const wrong = jumpProblem(text);
      if (wrong !== null) context.addIssue({ code: "custom", message: wrong });
    }),
    z.strictObject({
      host: machine,
      user: sshUser.optional(),
      port: port.default(22),
      hostKey: hostKey.optional(),
    }),
  ],
  "is not a jump host; write it as user@bastion.example.org:22",
);

const host = z.strictObject({
  role: z.enum(["controller", "compute"]).describe("`controller` or `compute`"),
  address: address.describe("On the management network; the host is reached by it"),
  public: address.optional().describe("On the public network; by default the same last number"),
  data: address.optional().describe("On the data network; by default the same last number"),
  vipPriority: z
    .int("must be a number, 1 to 254")
    .min(1, "must be 1 to 254")
    .max(254, "must be 1 to 254")
    .optional()
    .describe("keepalived's priority; by default 150, 140, 130 and so on"),
  sshPort: port.optional().describe("When it differs from `ssh.port`"),
  hostKey: hostKey.optional().describe("What its SSH key must be; by default the first one seen is pinned"),
});

/** The form of `cloud.yaml`. What one key alone can tell is told here; what needs two of them is in `checks.ts`. */
export const cloudSchema = z.strictObject({
  cloud: z
    .string()
    .regex(hostNamePattern, "must be small letters, digits and -, such as demo")
    .describe("The cloud's name; its hosts are `<host>.<cloud>.internal`"),
  ssh: z
    .strictObject({
      user: sshUser
        .default("root")
        .describe("Who logs in for enrolment; another than root needs sudo without password"),
      port: port.default(22).describe("sshd's port"),
      privateKey: z
        .string()
        .min(1)
        .max(1000)
        .nullable()
        .default(null)
        .describe(
          "Path of the private key, its passphrase: `stackctl secret set ssh-key-passphrase`; null: the ssh agent's keys",
        ),
      jumpHost: jumpHost
        .nullable()
        .default(null)
        .describe(
          "The hosts are logged in to through it: `user@host:port`, or `{ host, user, port, hostKey }`; user by default `ssh.user`, port 22",
        ),
    })
    .prefault({}),
  networks: z.strictObject({ management: network, public: network, data: network }),
  vip: z.strictObject({
    management: address.describe("The cloud's own address on the management network"),
    public: address.describe("The cloud's own address on the public network"),
    virtualRouterId: z
      .int("must be 1 to 255")
      .min(1, "must be 1 to 255")
      .max(255, "must be 1 to 255")
      .default(51)
      .describe("VRRP's id; one that nobody else on the network uses"),
  }),
  hosts: z.record(z.string(), host),
  packages: z
    .strictObject({
      mirror: mirror.nullable().default(null).describe("Debian's mirror; null: what the host already uses"),
      securityMirror: mirror.nullable().default(null).describe("Mirror of bookworm-security"),
      proxy: proxy
        .nullable()
        .default(null)
        .describe("`http://[user@]host:port`; its password: `stackctl secret set packages-proxy-password`"),
      noProxy: z
        .array(z.string().regex(/^[A-Za-z0-9.-]{1,253}$/, "is not a host name or an address"))
        .max(100)
        .default([])
        .describe("Reached without the proxy, beside the cloud's own hosts"),
    })
    .prefault({}),
  registry: z
    .strictObject({
      name: z
        .string()
        .regex(
          /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?$/,
          "is not a registry such as registry.example.org:5000",
        )
        .describe("Its name and port"),
      ca: z
        .string()
        .max(16_384)
        .regex(
          /^-----BEGIN CERTIFICATE-----\n[\s\S]*-----END CERTIFICATE-----\s*$/,
          "is not a certificate in PEM form",
        )
        .nullable()
        .default(null)
        .describe("Certificate of the authority that signed its own, PEM; null: one that Debian knows"),
      user: z
        .string()
        .regex(/^[!-~]{1,200}$/, "is not a user name")
        .nullable()
        .default(null)
        .describe("Who logs in there; the password: `stackctl secret set registry-password`"),
    })
    .nullable()
    .default(null)
    .describe("An outside registry of images; null: the controllers run one"),
  images: z
    .strictObject({
      base: z
        .string()
        .regex(/^[a-z0-9][A-Za-z0-9._/:@-]{0,500}$/, "is not an image such as registry.example.org/debian:12")
        .nullable()
        .default(null)
        .describe("A Debian 12 image to build all others on; null: one is made of packages"),
    })
    .prefault({}),
  time: z
    .strictObject({
      servers: z
        .array(serverName)
        .min(1, "must name at least one server")
        .max(16)
        .default(["0.debian.pool.ntp.org", "1.debian.pool.ntp.org"])
        .describe("NTP servers that the controllers follow; the others follow the controllers"),
    })
    .prefault({}),
  reboot: z
    .enum(["first-apply", "never"])
    .default("first-apply")
    .describe("`first-apply`: every host restarts once when it is set up"),
  absentAfter: duration
    .default("5m")
    .describe("How long a host may be silent before it is left out of a run"),
  server: z
    .strictObject({
      address: address
        .nullable()
        .default(null)
        .describe("Where agents reach the server; by default the address of the route to the hosts"),
      port: port.default(4222).describe("nats-server's port"),
    })
    .prefault({}),
});

export type CloudFile = z.infer<typeof cloudSchema>;

/** A jump host as its short form says it, `[user@]host[:port]`; null when it is none. */
export function parseJump(text: string): { user: string | null; host: string; port: number } | null {
  const [, user = null, host = "", port = "22"] = /^(?:([^@]+)@)?([^@:]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  return host === "" ? null : { user, host, port: Number(port) };
}

function jumpProblem(text: string): string | null {
  const jump = parseJump(text);
  if (jump === null) return `${text} is not a jump host; write it as user@bastion.example.org:22`;
  if (jump.user !== null && !sshUser.safeParse(jump.user).success) return `${jump.user} is not a user name`;
  if (jump.port < 1 || jump.port > 65535) return `${String(jump.port)} is not a port, 1 to 65535`;
  return machineProblem(jump.host);
}

function machineProblem(text: string): string | null {
  if (/^[0-9.]+$/.test(text)) return addressNumber(text) === null ? `${text} is not an IPv4 address` : null;
  return /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(text)
    ? null
    : `${text === "" ? "an empty text" : text} is not a DNS name or an IPv4 address`;
}

/** Seconds of a text such as `90s`, `5m` or `2h`; null when it is none. */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,6})(s|m|h)$/.exec(text);
  if (match === null) return null;
  return Number(match[1]) * { s: 1, m: 60, h: 3600 }[match[2] as "s" | "m" | "h"];
}
