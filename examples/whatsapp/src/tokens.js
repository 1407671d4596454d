// Who asks: what the Accounts Center says in the token that it makes for this subgraph, for at most a minute.
//
// It is signed with one of the keys at `/.well-known/jwks.json`. `aud` is this subgraph: a token that was made for another one,
// or for the Accounts Center itself, is not taken. `sub` is the account, and absent where nobody is signed in; `profiles` are the
// external ids of its profiles by platform, and absent where a router passes on what it got from its client.
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';

// What says that the keys could not be had, and nothing of the token.
const OUR_FAULT = new Set([errors.JWKSTimeout.code, errors.JWKSInvalid.code, errors.JOSEError.code]);

// Gives a function of an `Authorization` header, whose answer is `{ account, scopes, profiles }` or `{ refused }`, a code.
export function verifier({ accountsUrl, issuer, audience }) {
  // Asks again for a key that it does not know, at most once in five seconds: the keys change, and anybody can make up an id.
  const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', accountsUrl), {
    cooldownDuration: 5_000,
    cacheMaxAge: 600_000,
    timeoutDuration: 2_000,
  });
  const expected = { issuer, audience, algorithms: ['EdDSA'], requiredClaims: ['exp'], clockTolerance: 5 };
  return async (authorization) => {
    const [scheme, token] = authorization?.split(' ') ?? [];
    if (scheme?.toLowerCase() !== 'bearer' || !token) return { refused: 'UNAUTHENTICATED' };
    try {
      const { payload } = await jwtVerify(token, keys, expected);
      return { account: payload.sub, scopes: payload.scope?.split(' ') ?? [], profiles: payload.profiles };
    } catch (error) {
      const unavailable = !(error instanceof errors.JOSEError) || OUR_FAULT.has(error.code);
      if (unavailable) console.error(`the keys of the Accounts Center cannot be had: ${error.message}`);
      return { refused: unavailable ? 'SERVICE_UNAVAILABLE' : 'UNAUTHENTICATED' };
    }
  };
}
