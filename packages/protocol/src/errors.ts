/**
 * Every error code of the product, with who can act on it.
 * `user`: the input is wrong. `operational`: the world did not do what was asked. `bug`: ours.
 * Codes cross the wire and are stable; messages are for people and may change.
 */
export const errorCodes = {
  // user
  cloud_missing: "user",
  cloud_invalid: "user",
  cloud_exists: "user",
  usage: "user",
  host_unknown: "user",
  host_in_file: "user",
  host_is_primary: "user",
  service_unknown: "user",
  hold_unknown: "user",
  held: "user",
  resource_unknown: "user",
  image_unknown: "user",
  controller_needed: "user",
  registry_outside: "user",
  run_unknown: "user",
  upgrade_unknown: "user",
  secret_missing: "user",
  plan_stale: "user",
  spec_invalid: "user",
  // operational
  server_unreachable: "operational",
  server_start_failed: "operational",
  server_busy: "operational",
  address_not_local: "operational",
  nats_start_failed: "operational",
  nats_version_refused: "operational",
  nats_fetch_failed: "operational",
  nats_unavailable: "operational",
  ssh_unreachable: "operational",
  ssh_auth_failed: "operational",
  ssh_jump_refused: "operational",
  ssh_key_unreadable: "operational",
  ssh_sudo_refused: "operational",
  host_key_changed: "operational",
  enrolment_refused: "operational",
  push_failed: "operational",
  upgrade_refused: "operational",
  upgrade_failed: "operational",
  agent_unreachable: "operational",
  command_failed: "operational",
  command_timeout: "operational",
  not_converged: "operational",
  disk_full: "operational",
  file_failed: "operational",
  package_unavailable: "operational",
  packages_unreachable: "operational",
  docker_unreachable: "operational",
  image_unavailable: "operational",
  build_failed: "operational",
  registry_unreachable: "operational",
  registry_refused: "operational",
  container_failed: "operational",
  data_foreign: "operational",
  database_unreachable: "operational",
  database_refused: "operational",
  member_not_synced: "operational",
  keys_foreign: "operational",
  keystone_unreachable: "operational",
  keystone_refused: "operational",
  vault_key_wrong: "operational",
  store_locked: "operational",
  preflight_failed: "operational",
  apply_failed: "operational",
  // the other side broke the protocol
  message_refused: "operational",
  not_authorised: "operational",
  // ours
  bug: "bug",
} as const satisfies Record<string, "user" | "operational" | "bug">;

/** A stable error code; see {@link errorCodes}. */
export type ErrorCode = keyof typeof errorCodes;

/** What a {@link StackctlError} carries beside code and message; all of it is shown to people, so never a secret. */
export interface ErrorDetails {
  /** The host that the error is about. */
  readonly host?: string;
  /** Resource id, such as `chrony/chrony`. */
  readonly resource?: string;
  /** What should have been. */
  readonly expected?: string;
  /** What was there instead. */
  readonly found?: string;
  /** The command or act that mends it; the CLI prints it after the message. */
  readonly remedy?: string;
  /** Mistakes in `cloud.yaml`, in the order of the file. */
  readonly mistakes?: readonly Mistake[];
  /** The command as an argument list, its exit code and the end of its stderr. */
  readonly command?: {
    readonly argv: readonly string[];
    readonly code: number | null;
    readonly stderr: string;
  };
}

/** One mistake in a file that a person wrote. Lines and columns count from 1. */
export interface Mistake {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Dotted path of the key, such as `hosts.controller2.address`. */
  readonly path: string;
  /** What is wrong and what would be right, one sentence. */
  readonly message: string;
}

/** An error as it crosses the wire. */
export interface ErrorData {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly details: ErrorDetails;
}

/** The one class of expected errors. Branch on `code`, never on the text. */
export class StackctlError extends Error {
  override readonly name = "StackctlError";
  readonly code: ErrorCode;
  /** True when the same call may succeed later without anybody changing anything. */
  readonly retryable: boolean;
  readonly details: ErrorDetails;

  constructor(
    code: ErrorCode,
    message: string,
    options: { retryable?: boolean; details?: ErrorDetails; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.details = options.details ?? {};
  }
}

/** The error as data for the wire. Anything that is not a {@link StackctlError} becomes `bug` with its stack. */
export function errorData(error: unknown): ErrorData {
  if (error instanceof StackctlError) {
    return { code: error.code, message: error.message, retryable: error.retryable, details: error.details };
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: "bug", message: text, retryable: false, details: {} };
}

/** The inverse of {@link errorData}; an unknown code becomes `bug`. */
export function errorFromData(data: ErrorData): StackctlError {
  const code: ErrorCode = data.code in errorCodes ? data.code : "bug";
  return new StackctlError(code, data.message, { retryable: data.retryable, details: data.details });
}
