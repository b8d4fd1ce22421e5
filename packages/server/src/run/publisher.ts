import {
  documentBody,
  publicKey,
  sealSecret,
  type Cause,
  type DocumentBody,
  type SealedSecret,
} from "@stackctl/protocol";
import type { Bus } from "../bus/bus.ts";
import { withCause, type CompiledDocument } from "../compile/compile.ts";
import { secretRefs } from "../compile/secrets.ts";
import type { AgentRow, DocumentRow, Store } from "../store/store.ts";
import { signDocument, type Signer } from "../trust/sign.ts";
import type { Vault } from "../vault/vault.ts";

/** Issues documents: decides, seals, signs and publishes them, in that order, so that a kill at any point loses nothing. */
export class Publisher {
  readonly #store: Store;
  readonly #vault: Vault;
  readonly #bus: Bus;
  readonly #signer: Signer;
  #seq: number;

  constructor(store: Store, vault: Vault, bus: Bus, signer: Signer) {
    this.#store = store;
    this.#vault = vault;
    this.#bus = bus;
    this.#signer = signer;
    this.#seq = store.lastSeq();
  }

  /** Issues a new document for a run and publishes it. @returns what was issued */
  async issue(agent: AgentRow, document: CompiledDocument, cause: Cause, run: number): Promise<DocumentRow> {
    // What no agent would accept is a fault of ours, and is said now instead of waited for.
    const body = documentBody.parse({ ...withCause(document, cause), sealed: [] });
    this.#seq += 1;
    const row: DocumentRow = {
      host: agent.host,
      service: document.service,
      incarnation: agent.incarnation,
      seq: this.#seq,
      run,
      body,
    };
    this.#store.decide("server", { type: "document.issued", ...row });
    await this.publish(agent, row);
    return row;
  }

  /** Publishes what was issued, again if need be: the same sequence number always means the same content. */
  async publish(agent: AgentRow, row: DocumentRow): Promise<void> {
    const body: DocumentBody = { ...row.body, sealed: this.seal(agent, row.body) };
    await this.#bus.publishDocument(row.host, row.service, signDocument(this.#signer, row, body));
  }

  /** The secrets that a document refers to, sealed for this incarnation of its agent. */
  seal(agent: AgentRow, document: Pick<DocumentBody, "resources">): SealedSecret[] {
    const key = publicKey(agent.sealKey);
    const target = { cluster: this.#signer.cluster, agent: agent.host, incarnation: agent.incarnation };
    return secretRefs(document.resources).map((ref) =>
      sealSecret(ref, this.#vault.reveal(ref.secret, ref.version), target, key),
    );
  }
}
