import { verify } from "node:crypto";
import { fromPublic } from "@nats-io/nkeys";
import {
  agentUnit,
  enrolmentAnswer,
  hostPaths,
  publicKey,
  StackctlError,
  version,
  type EnrolmentAnswer,
  type EnrolmentOrder,
} from "@stackctl/protocol";
import { openArchive, type Runtime } from "./runtime.ts";
import type { SshSession } from "./ssh.ts";
import { agentUnitFile } from "./unit.ts";

/**
 * Pushes the runtime, lets the host make its keys, checks what it answers and starts the agent. Safe to repeat from
 * any point: the same incarnation answers the same keys.
 * @throws StackctlError `enrolment_refused`, `push_failed`, `disk_full`, or of the session
 */
export async function enrolHost(options: {
  readonly session: SshSession;
  readonly runtime: Runtime;
  readonly order: EnrolmentOrder;
  readonly onProgress: (text: string) => void;
}): Promise<EnrolmentAnswer> {
  const { session, runtime, order, onProgress } = options;
  await pushAgent(session, runtime, onProgress);
  onProgress("making its keys");
  const { code, stdout, stderr } = await session.run(
    [
      "env",
      `LD_LIBRARY_PATH=${hostPaths.current}`,
      `${hostPaths.current}/node`,
      `${hostPaths.current}/agent.cjs`,
      "init",
    ],
    {
      asRoot: true,
      timeoutMs: 30_000,
      input: JSON.stringify(order),
    },
  );
  if (code !== 0)
    throw refusedEnrolment(order.host, `agent init ended with ${String(code)}: ${stderr.trim().slice(-500)}`);
  const answer = checkAnswer(order, stdout);
  onProgress("starting the agent");
  await installUnit(session);
  return answer;
}

/** Pushes the runtime to an enrolled host whose agent is from before releases came over NATS, and starts it anew with it. */
export async function upgradeAgent(
  session: SshSession,
  runtime: Runtime,
  onProgress: (text: string) => void,
): Promise<void> {
  await pushAgent(session, runtime, onProgress);
  onProgress("starting the agent");
  await installUnit(session);
}

/** Starts the agent of a host that has one, enrolled. @returns false when it has none */
export async function restartAgent(session: SshSession): Promise<boolean> {
  const there = await session.run(
    ["test", "-f", `${hostPaths.state}/identity.json`, "-a", "-x", `${hostPaths.current}/node`],
    {
      asRoot: true,
      timeoutMs: 10_000,
    },
  );
  if (there.code !== 0) return false;
  await must(session, ["systemctl", "restart", agentUnit], "start the agent");
  return true;
}

/** Checks an enrolment's answer: who it is for, and that the host has the keys it names. @throws StackctlError `enrolment_refused` */
export function checkAnswer(order: EnrolmentOrder, text: string): EnrolmentAnswer {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (cause) {
    throw refusedEnrolment(order.host, "its agent answered no JSON", cause);
  }
  const parsed = enrolmentAnswer.safeParse(raw);
  if (!parsed.success) throw refusedEnrolment(order.host, "its agent's answer is not of its form");
  const answer = parsed.data;
  if (answer.host !== order.host) throw refusedEnrolment(order.host, `its agent calls itself ${answer.host}`);
  if (answer.incarnation !== order.incarnation)
    throw refusedEnrolment(order.host, `its agent is of incarnation ${String(answer.incarnation)}`);
  if (answer.version !== version)
    throw refusedEnrolment(order.host, `its agent is of version ${answer.version}, ${version} was pushed`);
  const challenge = Buffer.from(order.challenge);
  const nkey = nkeyProves(answer.nkey, challenge, Buffer.from(answer.proofs.nkey, "base64"));
  const event = verify(
    null,
    challenge,
    publicKey(answer.eventKey),
    Buffer.from(answer.proofs.eventKey, "base64"),
  );
  if (!nkey || !event)
    throw refusedEnrolment(order.host, "it does not prove that it has the keys that it names");
  return answer;
}

/** True when the signature is by that NATS key. A key or signature that is none at all proves nothing either. */
function nkeyProves(nkey: string, challenge: Buffer, signature: Buffer): boolean {
  try {
    return fromPublic(nkey).verify(challenge, signature);
  } catch (error) {
    if (error instanceof Error) return false;
    throw error;
  }
}

/**
 * Puts the runtime on the host: skips what is there, checks what arrived, and switches over by one rename. Needs only
 * what bare Debian has.
 */
async function pushAgent(
  session: SshSession,
  runtime: Runtime,
  onProgress: (text: string) => void,
): Promise<void> {
  const folder = `${hostPaths.releases}/${runtime.release}`;
  await must(session, ["mkdir", "-p", "--", folder], "make its folder");
  for (const file of runtime.files) {
    const path = `${folder}/${file.name}`;
    const has = await session.run(["sha256sum", "--", path], { asRoot: true, timeoutMs: 30_000 });
    if (has.code === 0 && has.stdout.startsWith(file.sha256)) continue;
    onProgress(`pushing ${file.name} (${String(Math.max(1, Math.round(file.sizeBytes / 1e6)))} MB)`);
    // Another release may have the same Node: it is linked, not sent again.
    const found = await session.run(
      [
        "sh",
        "-c",
        'for f in "$1"/*/"$2"; do [ -f "$f" ] && [ "$(sha256sum < "$f")" = "$3  -" ] && ln -f "$f" "$4" && exit 0; done; exit 1',
        "find",
        hostPaths.releases,
        file.name,
        file.sha256,
        path,
      ],
      { asRoot: true, timeoutMs: 60_000 },
    );
    if (found.code === 0) continue;
    const unpack =
      'set -e; rm -f "$1".*.part; gzip -dc > "$1.$$.part"; echo "$2  $1.$$.part" | sha256sum -c --quiet; chmod 755 "$1.$$.part"; mv -f "$1.$$.part" "$1"; sync "$1"';
    const sent = await session.run(["sh", "-c", unpack, "unpack", path, file.sha256], {
      asRoot: true,
      timeoutMs: 300_000,
      input: openArchive(file),
    });
    if (sent.code === 0) continue;
    const full = /No space left/.test(sent.stderr);
    throw new StackctlError(
      full ? "disk_full" : "push_failed",
      `${session.host}: ${file.name} did not arrive: ${sent.stderr.trim().slice(-300)}`,
      {
        retryable: true,
        details: {
          host: session.host,
          remedy: full ? `make room on ${session.host}: df -h /opt` : `stackctl apply ${session.host}`,
        },
      },
    );
  }
  // A way back from an upgrade that was never confirmed is not to undo this.
  const swap = 'set -e; rm -f "$3"; ln -sfn "$1" "$2.new"; mv -fT "$2.new" "$2"';
  const paths = [folder, hostPaths.current, hostPaths.former];
  await must(session, ["sh", "-c", swap, "switch", ...paths], "switch to the release");
}

/** Writes the unit when it differs, makes it start at boot, and starts the agent anew. */
async function installUnit(session: SshSession): Promise<void> {
  const write =
    'set -e; umask 022; cat > "$1.new"; if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv -f "$1.new" "$1"; systemctl daemon-reload; fi';
  await must(session, ["sh", "-c", write, "unit", hostPaths.unit], "write its unit", agentUnitFile());
  await must(session, ["systemctl", "enable", "--quiet", agentUnit], "enable the agent");
  await must(session, ["systemctl", "restart", agentUnit], "start the agent");
}

async function must(session: SshSession, argv: readonly string[], what: string, input = ""): Promise<void> {
  const { code, stderr } = await session.run(argv, { asRoot: true, timeoutMs: 60_000, input });
  if (code === 0) return;
  const full = /No space left/.test(stderr);
  throw new StackctlError(
    full ? "disk_full" : "push_failed",
    `${session.host} could not ${what}: ${stderr.trim().slice(-300)}`,
    {
      retryable: true,
      details: {
        host: session.host,
        remedy: full ? `make room on ${session.host}: df -h` : `stackctl apply ${session.host}`,
      },
    },
  );
}

function refusedEnrolment(host: string, why: string, cause?: unknown): StackctlError {
  return new StackctlError("enrolment_refused", `${host} is not enrolled: ${why}`, {
    details: { host, remedy: `is ${host} the machine that you mean? then: stackctl apply ${host}` },
    cause,
  });
}
