import { expect, it } from "vitest";
import { agentLogs, loggingServices, logSources } from "./log-sources.ts";
import type { Resource } from "./resources/index.ts";

const resource = (type: Resource["type"], name: string): Resource =>
  ({ type, name, spec: {} }) as unknown as Resource;
const documents = [
  { service: "host", resources: [resource("hostname", "hostname")] },
  { service: "chrony", resources: [resource("chrony", "chrony")] },
  { service: "docker", resources: [resource("docker-engine", "docker")] },
  {
    service: "nova",
    resources: [resource("container", "nova-api"), resource("container", "nova-scheduler")],
  },
  { service: "gone", resources: [] },
];
const names = (word: string): string[] => logSources(word, documents).map(({ unit }) => unit);

it("a service is all that writes for it, and one of its containers is that alone", () => {
  expect(names("nova")).toEqual(["stackctl-nova-api.service", "stackctl-nova-scheduler.service"]);
  expect(names("nova-api")).toEqual(["stackctl-nova-api.service"]);
  expect(names("chrony")).toEqual(["chrony.service"]);
  expect(names("docker")).toEqual(["docker.service", "containerd.service"]);
  expect(names("containerd")).toEqual(["containerd.service"]);
  expect(names(agentLogs)).toEqual(["stackctl-agent.service"]);
});

it("nothing else can be read, whatever it is called", () => {
  for (const word of [
    "host",
    "hostname",
    "gone",
    "ssh",
    "ssh.service",
    "chrony.service",
    "stackctl-nova-api.service",
    "",
  ])
    expect(names(word), word).toEqual([]);
  expect(loggingServices(documents)).toEqual(["chrony", "docker", "nova"]);
});
