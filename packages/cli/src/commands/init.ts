import { existsSync, writeFileSync } from "node:fs";
import { InvalidArgumentError, type Command } from "commander";
import { StackctlError } from "@stackctl/protocol";
import { askBundle } from "../server-bundle.ts";
import { remark, shared } from "./command.ts";

interface InitOptions {
  readonly name?: string;
  readonly controllers?: number;
  readonly computes?: number;
  readonly management?: string;
  readonly public?: string;
  readonly data?: string;
  readonly nics?: string;
  readonly sshUser?: string;
  readonly sshPort?: number;
  readonly sshKey?: string;
  readonly sshAgent?: boolean;
  readonly jumpHost?: string;
  readonly mirror?: string;
  readonly securityMirror?: string;
  readonly proxy?: string;
  readonly timeServer?: string;
  readonly serverAddress?: string;
  readonly serverPort?: number;
  readonly absentAfter?: string;
}

/** `init`: writes a commented `cloud.yaml` to begin with; never over one that is there. */
export function addInit(program: Command): void {
  program
    .command("init")
    .description("write a commented cloud.yaml to begin with")
    .option("--name <name>", "the cloud's name")
    .option("--controllers <n>", "how many", whole)
    .option("--computes <n>", "how many", whole)
    .option("--management <cidr>", "management network")
    .option("--public <cidr>", "public network")
    .option("--data <cidr>", "data network")
    .option("--nics <a,b,c>", "the hosts' NICs on the three networks")
    .option("--ssh-user <user>", "who logs in")
    .option("--ssh-port <port>", "sshd's port", whole)
    .option("--ssh-key <file>", "private key")
    .option("--ssh-agent", "the ssh agent's keys in place of a file")
    .option("--jump-host <[user@]host[:port]>", "the hosts are logged in to through it")
    .option("--mirror <url>", "Debian's mirror")
    .option("--security-mirror <url>", "mirror of bookworm-security")
    .option("--proxy <url>", "http://[user@]host:port")
    .option("--time-server <a,b>", "NTP servers")
    .option("--server-address <address>", "where agents reach the server")
    .option("--server-port <port>", "nats-server's port", whole)
    .option("--absent-after <time>", "when a silent host is left out")
    .action(async (options: InitOptions, command: Command) => {
      const { place } = shared(command);
      const { cloudFile } = place;
      if (existsSync(cloudFile)) {
        throw new StackctlError("cloud_exists", `${cloudFile} is there already and was left as it is`, {
          details: { remedy: "look at what it would do with: stackctl plan" },
        });
      }
      // Rendered by the server's own code: only that knows the schema.
      const { file } = (await askBundle(["init"], { input: answersOf(options) })) as { file: string };
      writeNew(cloudFile, file);
      remark(`${cloudFile} written. Put your hosts and networks into it, then: stackctl preflight`);
      if (options.proxy?.includes("@") === true)
        remark("The proxy's password: stackctl secret set packages-proxy-password");
    });
}

/** What was given, in the form of the server's answers; what was not given has a default there. */
function answersOf(options: InitOptions): unknown {
  const nics = options.nics?.split(",") ?? [];
  const network = (cidr: string | undefined, index: number): Record<string, string> => ({
    ...(cidr === undefined ? {} : { cidr }),
    ...(nics[index] === undefined ? {} : { interface: nics[index] }),
  });
  return defined({
    name: options.name,
    controllers: options.controllers,
    computes: options.computes,
    management: network(options.management, 0),
    public: network(options.public, 1),
    data: network(options.data, 2),
    ssh: defined({
      user: options.sshUser,
      port: options.sshPort,
      privateKey: options.sshAgent === true ? null : options.sshKey,
      jumpHost: options.jumpHost,
    }),
    packages: defined({
      mirror: options.mirror,
      securityMirror: options.securityMirror,
      proxy: options.proxy,
    }),
    timeServers: options.timeServer?.split(","),
    absentAfter: options.absentAfter,
    server: defined({ address: options.serverAddress, port: options.serverPort }),
  });
}

function defined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** Writes a file that is not there yet, in a folder that is. @throws StackctlError `file_failed` */
function writeNew(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: "wx" });
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    throw new StackctlError("file_failed", `${file} cannot be written: ${cause.message}`, {
      details: { remedy: "name another file with: stackctl init --cloud FILE" },
      cause,
    });
  }
}

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError("a whole number is needed");
  return value;
}
