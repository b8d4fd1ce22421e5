import type { Credentials } from "@stackctl/protocol";

/** A file for a shell to source, as python-openstackclient reads it from the environment. Pure. */
export function renderOpenrc(given: Credentials, authorityFile: string): string {
  const values = {
    OS_AUTH_URL: given.authUrl,
    OS_USERNAME: given.user,
    OS_PASSWORD: given.password,
    OS_PROJECT_NAME: given.project,
    OS_USER_DOMAIN_NAME: given.domain,
    OS_PROJECT_DOMAIN_NAME: given.domain,
    OS_REGION_NAME: given.region,
    OS_IDENTITY_API_VERSION: "3",
    OS_INTERFACE: "public",
    OS_CACERT: authorityFile,
  };
  return Object.entries(values)
    .map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'`)
    .join("\n");
}

/** `clouds.yaml`, whose one cloud is named as the cloud is. Every text is quoted as JSON, which YAML is a superset of. Pure. */
export function renderCloudsYaml(given: Credentials, authorityFile: string): string {
  const auth = {
    auth_url: given.authUrl,
    username: given.user,
    password: given.password,
    project_name: given.project,
    user_domain_name: given.domain,
    project_domain_name: given.domain,
  };
  const rest = {
    region_name: given.region,
    identity_api_version: "3",
    interface: "public",
    cacert: authorityFile,
  };
  const lines = (values: Readonly<Record<string, string>>, indent: string): string[] =>
    Object.entries(values).map(([name, value]) => `${indent}${name}: ${JSON.stringify(value)}`);
  return ["clouds:", `  ${given.cloud}:`, "    auth:", ...lines(auth, "      "), ...lines(rest, "    ")].join(
    "\n",
  );
}
