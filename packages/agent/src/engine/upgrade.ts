import { errorData, StackctlError, version, type AgentRequest, type ReleaseAnswer } from "@stackctl/protocol";
import type { Releases } from "../host/releases.ts";
import { newer } from "../trust/accept.ts";

/** What the server may ask about releases. */
export type ReleaseRequest = Extract<AgentRequest, { kind: `release-${string}` }>;

/** Does what a request about releases asks for. Never throws: what went wrong is in the answer. */
export async function answerRelease(releases: Releases, request: ReleaseRequest): Promise<ReleaseAnswer> {
  const { running } = releases;
  try {
    return { problem: null, missing: await done(releases, request), running };
  } catch (error) {
    const { code, message, details } = errorData(error);
    return {
      problem: {
        code: code === "upgrade_refused" || code === "disk_full" ? code : "upgrade_failed",
        message: (details.remedy === undefined ? message : `${message}; ${details.remedy}`).slice(0, 2000),
      },
      missing: [],
      running,
    };
  }
}

async function done(releases: Releases, request: ReleaseRequest): Promise<ReleaseAnswer["missing"]> {
  switch (request.kind) {
    case "release-offer": {
      const { manifest } = request;
      if (newer(version, manifest.version))
        throw new StackctlError(
          "upgrade_refused",
          `${manifest.release} is older than ${version}, which runs here`,
          { details: { remedy: `use a stackctl of version ${version} or newer` } },
        );
      return releases.offer(manifest);
    }
    case "release-piece": {
      const { release, name, offset, bytes } = request;
      return releases.piece(release, name, offset, Buffer.from(bytes, "base64"));
    }
    case "release-start":
      await releases.start(request.release);
      return [];
    case "release-confirm":
      releases.confirm(request.release);
      return [];
  }
}
