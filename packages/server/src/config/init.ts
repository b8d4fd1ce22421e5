import { z } from "zod";
import { addressNumber, addressText, parseCidr } from "./address.ts";

const network = (cidr: string, nic: string): z.ZodType<{ cidr: string; interface: string }> =>
  z.strictObject({ cidr: z.string().default(cidr), interface: z.string().default(nic) }).prefault({});

/** What `init` is told; every answer has a default, and together the defaults are a good example. */
export const initAnswers = z.strictObject({
  name: z.string().default("demo"),
  controllers: z.int().min(1).max(9).default(3),
  computes: z.int().min(0).max(200).default(2),
  management: network("10.10.0.0/24", "eth0"),
  public: network("192.168.2.0/24", "eth1"),
  data: network("10.10.1.0/24", "eth2"),
  ssh: z
    .strictObject({
      user: z.string().default("root"),
      port: z.int().default(22),
      /** Null: the ssh agent's keys. */
      privateKey: z.string().nullable().default("~/.ssh/id_ed25519"),
      jumpHost: z.string().nullable().default(null),
    })
    .prefault({}),
  packages: z
    .strictObject({
      mirror: z.string().nullable().default(null),
      securityMirror: z.string().nullable().default(null),
      proxy: z.string().nullable().default(null),
    })
    .prefault({}),
  timeServers: z.array(z.string()).default(["0.debian.pool.ntp.org", "1.debian.pool.ntp.org"]),
  absentAfter: z.string().nullable().default(null),
  server: z
    .strictObject({ address: z.string().nullable().default(null), port: z.int().nullable().default(null) })
    .prefault({}),
});
export type InitAnswers = z.infer<typeof initAnswers>;

/** The commented file of a new cloud: hosts get .11 and up, the VIPs .10. */
export function renderInit(answers: InitAnswers): string {
  const { management, public: outside, data, ssh, packages, server } = answers;
  const at = (cidr: string, place: number): string => {
    const parsed = parseCidr(cidr);
    return parsed === null ? addressText(addressNumber("0.0.0.0") ?? 0) : addressText(parsed.first + place);
  };
  const names = [
    ...Array.from({ length: answers.controllers }, (_, index) => `controller${String(index + 1)}`),
    ...Array.from({ length: answers.computes }, (_, index) => `compute${String(index + 1)}`),
  ];
  const width = Math.max(...names.map((name) => name.length)) + 1;
  const hosts = names.map((name, index) => {
    const controller = index < answers.controllers;
    const role = controller ? "controller," : "compute,   ";
    const priority = controller ? `, vipPriority: ${String(150 - 10 * index)}` : "";
    return `  ${`${name}:`.padEnd(width)} { role: ${role} address: ${at(management.cidr, 11 + index)}${priority} }`;
  });
  const login = [
    `user: ${ssh.user}`,
    ...(ssh.port === 22 ? [] : [`port: ${String(ssh.port)}`]),
    ...(ssh.privateKey === null ? [] : [`privateKey: ${ssh.privateKey}`]),
    ...(ssh.jumpHost === null ? [] : [`jumpHost: "${ssh.jumpHost}"`]),
  ].join(", ");
  const loginNote = ssh.privateKey === null ? "   # with the ssh agent's keys" : "";
  const rest = [
    ...(answers.absentAfter === null
      ? []
      : [
          `absentAfter: ${answers.absentAfter}                 # a host that is silent for longer is left out of a run`,
        ]),
    ...(server.address === null && server.port === null
      ? []
      : [
          `server: { ${[...(server.address === null ? [] : [`address: ${server.address}`]), ...(server.port === null ? [] : [`port: ${String(server.port)}`])].join(", ")} }`,
        ]),
  ];
  const security = packages.securityMirror === null ? "" : `, securityMirror: ${packages.securityMirror}`;
  return `# One file describes the cloud. \`stackctl plan\` shows what a change would do.
cloud: ${answers.name}
ssh: { ${login} }${loginNote}

# Three networks, each with its own NIC on every host.
networks:
  management: { cidr: ${management.cidr}, interface: ${management.interface} }
  public:     { cidr: ${outside.cidr}, interface: ${outside.interface}, gateway: ${at(outside.cidr, 1)} }
  data:       { cidr: ${data.cidr}, interface: ${data.interface} }

# The cloud's own addresses: free ones, which move between the controllers.
vip: { management: ${at(management.cidr, 10)}, public: ${at(outside.cidr, 10)}, virtualRouterId: 51 }

# Addresses are those of the management network; on the others the last number is the same unless given.
hosts:
${hosts.join("\n")}

packages: { mirror: ${packages.mirror ?? "null"}${security}, proxy: ${packages.proxy ?? "null"} }   # null: what the host already uses
time: { servers: [${answers.timeServers.join(", ")}] }
reboot: first-apply                # every host restarts once when it is set up; or: never
${rest.map((line) => `${line}\n`).join("")}`;
}
