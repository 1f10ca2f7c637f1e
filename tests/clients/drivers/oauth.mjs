// OAuth for the drivers of the TypeScript SDKs: an administrator, whom the demo's issuer redirects where a person would
// sign in. What the SDK cannot go on with by itself, it throws; then the driver hands it the code, as an application does.

const CALLBACK = "http://127.0.0.1:3030/callback";

class User {
  redirectUrl = CALLBACK;
  clientMetadata = { redirect_uris: [CALLBACK], client_name: "tests", token_endpoint_auth_method: "none" };
  clientInformation = () => this.client;
  saveClientInformation = (client) => (this.client = client);
  tokens = () => this.kept;
  saveTokens = (tokens) => (this.kept = tokens);
  codeVerifier = () => this.verifier;
  saveCodeVerifier = (verifier) => (this.verifier = verifier);

  async redirectToAuthorization(url) {
    url.searchParams.set("login_hint", "admin");
    const answer = await fetch(url, { redirect: "manual" });
    this.redirect = new URL(answer.headers.get("location")).searchParams;
  }
}

// Gives a `connect` for `stories.mjs`. `make(options)` gives a transport and a client that is not connected, and
// `unauthorized` is the class of what the SDK throws when somebody has to sign in.
export const signingIn = (make, unauthorized) => async (url, era, headers) => {
  const user = new User();
  const { authorization: _, ...more } = headers;
  const options = { authProvider: user, requestInit: { headers: more } };

  const signedIn = async (transport, error) => {
    if (!(error instanceof unauthorized)) throw error;
    // 1.x knows nothing of the second (RFC 9207).
    await transport.finishAuth(user.redirect.get("code"), user.redirect.get("iss"));
  };

  let { transport, client, version } = make(url, era, options);
  try {
    await client.connect(transport);
  } catch (error) {
    await signedIn(transport, error);
    ({ transport, client, version } = make(url, era, options));
    await client.connect(transport);
  }
  const call = client.callTool.bind(client);
  client.callTool = async (params) => {
    try {
      return await call(params);
    } catch (error) {
      await signedIn(transport, error);
      return call(params);
    }
  };
  return { client, version: () => version(transport, client) };
};
