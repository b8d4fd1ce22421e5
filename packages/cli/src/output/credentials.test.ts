import type { Credentials } from "@stackctl/protocol";
import { describe, expect, it } from "vitest";
import { renderCloudsYaml, renderOpenrc } from "./credentials.ts";

const given: Credentials = {
  cloud: "demo",
  authUrl: "https://192.168.2.10:5000/v3",
  region: "RegionOne",
  user: "admin",
  password: 'it\'s a "secret" $HOME',
  project: "admin",
  domain: "Default",
  authority: "PEM",
};

describe("credentials", () => {
  it("are a file that a shell may source, whatever the password", () => {
    const text = renderOpenrc(given, "/home/me/ca.pem");
    expect(text).toContain("export OS_PASSWORD='it'\\''s a \"secret\" $HOME'");
    expect(text).toContain("export OS_CACERT='/home/me/ca.pem'");
  });

  it("are a clouds.yaml with the cloud's own name", () => {
    expect(renderCloudsYaml(given, "/home/me/ca.pem").split("\n").slice(0, 6)).toEqual([
      "clouds:",
      "  demo:",
      "    auth:",
      '      auth_url: "https://192.168.2.10:5000/v3"',
      '      username: "admin"',
      '      password: "it\'s a \\"secret\\" $HOME"',
    ]);
  });

  it("hold no authority's text, only where it is", () => {
    expect(renderOpenrc(given, "/ca.pem") + renderCloudsYaml(given, "/ca.pem")).not.toContain("PEM");
  });
});
