// An authorization server on a free port of loopback: opaque tokens, introspection with signed answers, revocation.
// Arguments: the module of oidc-provider, and the clients as JSON. Prints its issuer once it listens.

import http from "node:http";

const { Provider } = await import(process.argv[2]);
const resource = {
  scope: "files:read files:delete",
  audience: "https://mcp.example/mcp",
  accessTokenTTL: 3600,
  accessTokenFormat: "opaque",
};
const server = http.createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: JSON.parse(process.argv[3]),
    scopes: ["files:read", "files:delete"],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      jwtIntrospection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource.audience,
        getResourceServerInfo: () => resource,
      },
    },
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
