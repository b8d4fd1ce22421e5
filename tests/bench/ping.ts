import { behaviours } from "@stackctl/agent/resources/index.ts";
import { clusterOf, pingAnswer } from "@stackctl/protocol";
import { makeFleet } from "../integration/fleet-world.ts";
import { median } from "./measure.ts";

const rounds = 50;

/** Median milliseconds in which 20 agents are asked and have all answered, over a real nats-server with signatures and TLS. */
export async function warmPingMs(): Promise<number> {
  const names = Array.from({ length: 20 }, (_, index) => `agent${String(index + 1)}`);
  const world = await makeFleet(names, behaviours, clusterOf);
  try {
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const begun = performance.now();
      const answers = await Promise.all(names.map((name) => world.server().ask(name, { kind: "ping" })));
      times.push(performance.now() - begun);
      for (const answer of answers) pingAnswer.parse(answer);
    }
    return median(times);
  } finally {
    await world.close();
  }
}
