import type { Facts, PreflightRow } from "@stackctl/protocol";
import type { CloudHost } from "../config/model.ts";

type Severity = PreflightRow["problems"][number]["severity"];

/** What another tool on a host means for us. */
interface Leftover {
  /** Follows the host's name; what was found comes after it in brackets. */
  readonly text: string;
  /** While it runs, and when it only lies there; null: not worth a word. */
  readonly running: Severity;
  readonly lying: Severity | null;
  readonly remedy: (host: string) => string;
}

const manager = (name: string, unit: string): Leftover => ({
  text: `${name} is here too, and each would undo what the other does`,
  running: "warning",
  lying: "warning",
  remedy: (host) => `on ${host}: systemctl disable --now ${unit}, or keep it off what stackctl manages`,
});

/** By the names that the facts have for them. */
const leftovers: Readonly<Record<string, Leftover>> = {
  docker: {
    text: "has a docker that is not Debian's, and the two cannot be there together",
    running: "error",
    lying: "error",
    remedy: (host) => `take it away on ${host} (apt-get purge, for a package); stackctl installs docker.io`,
  },
  containers: {
    text: "runs containers that are not ours; docker gets no bridge, so their network ends",
    running: "warning",
    lying: null,
    remedy: (host) => `move them elsewhere, or on ${host}: docker rm -f NAME`,
  },
  kolla: {
    text: "has remains of kolla",
    running: "error",
    lying: "warning",
    remedy: (host) => `kolla-ansible destroy where it was run from, then on ${host}: rm -r /etc/kolla`,
  },
  kubernetes: {
    text: "has remains of kubernetes, which writes the packet filter and runs containers of its own",
    running: "error",
    lying: "warning",
    remedy: (host) => `on ${host}: k3s-uninstall.sh, or kubeadm reset and apt-get purge kubelet`,
  },
  openstack: {
    text: "has services of another OpenStack",
    running: "error",
    lying: "warning",
    remedy: (host) =>
      `on ${host}: apt-get purge them; their databases, if they matter, are for you to save first`,
  },
  salt: manager("salt", "salt-minion"),
  puppet: manager("puppet", "puppet"),
  chef: manager("chef", "chef-client"),
  cfengine: manager("cfengine", "cfengine3"),
};

/**
 * What other tools left on a host, or do there. On a host of this cloud OpenStack's own packages are ours. Pure.
 * @param cluster this cloud's number
 */
export function leftoverProblems(host: CloudHost, facts: Facts, cluster: string): PreflightRow["problems"] {
  const problems: PreflightRow["problems"] = facts.leftovers.flatMap(({ what, detail, running }) => {
    const known = leftovers[what];
    if (known === undefined || (what === "openstack" && facts.agentOf === cluster)) return [];
    const severity = running ? known.running : known.lying;
    if (severity === null) return [];
    return [{ severity, text: `${host.name}: ${known.text} (${detail})`, remedy: known.remedy(host.name) }];
  });
  if (facts.agentOf === null || facts.agentOf === cluster) return problems;
  return [
    ...problems,
    {
      severity: "error",
      text: `${host.name}: belongs to another cloud of stackctl (${facts.agentOf})`,
      remedy: `is it the machine that you mean? then on ${host.name}: systemctl disable --now stackctl-agent, and rm /var/lib/stackctl-agent/identity.json`,
    },
  ];
}
