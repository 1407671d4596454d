// A person in a browser registers a passkey on a device of Chromium's own, signs in and steps up by it, and says what they see,
// a line each.

import { launch } from './browser.mjs';

const { URL: server, TOKEN: token } = process.env;

const browser = await launch();
try {
  const page = await browser.newPage();
  const device = await page.context().newCDPSession(page);
  await device.send('WebAuthn.enable');
  const { authenticatorId } = await device.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  await page.goto(`${server}/dev/link`);

  // Runs in the page, which is of our origin.
  const mutate = (name, fields, input, as) =>
    page.evaluate(
      async ([name, fields, input, as]) => {
        const type = name[0].toUpperCase() + name.slice(1) + 'Input';
        const query = `mutation($input: ${type}!) { ${name}(input: $input) { ${fields} userErrors { code } } }`;
        const headers = { 'content-type': 'application/json', ...(as && { authorization: `Bearer ${as}` }) };
        const body = JSON.stringify({ query, variables: { input } });
        const answer = await (await fetch('/graphql', { method: 'POST', headers, body })).json();
        if (answer.errors || answer.data[name].userErrors.length > 0) {
          throw new Error(JSON.stringify(answer));
        }
        return answer.data[name];
      },
      [name, fields, input, as],
    );
  const create = (options) =>
    page.evaluate(async (options) => {
      const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(JSON.parse(options));
      try {
        return JSON.stringify((await navigator.credentials.create({ publicKey })).toJSON());
      } catch (error) {
        return error.name;
      }
    }, options);
  const get = (options) =>
    page.evaluate(async (options) => {
      const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(options));
      return JSON.stringify((await navigator.credentials.get({ publicKey })).toJSON());
    }, options);

  const started = await mutate('startPasskeyRegistration', 'registrationId creationOptions', { name: 'Chromium' }, token);
  const attestation = await create(started.creationOptions);
  const { registrationId } = started;
  const { passkey } = await mutate('finishPasskeyRegistration', 'passkey { id name }', { registrationId, attestation }, token);
  console.log(`registered ${passkey.name}`);
  const { credentials } = await device.send('WebAuthn.getCredentials', { authenticatorId });
  console.log(`${credentials.length} credential of ${credentials[0].rpId}, found by itself: ${credentials[0].isResidentCredential}`);

  const again = await mutate('startPasskeyRegistration', 'creationOptions', { name: 'Chromium again' }, token);
  console.log(`once more: ${await create(again.creationOptions)}`);

  const challenge = 'verification { id challenge { ... on PasskeyChallenge { requestOptions } } }';
  const prove = async (begun, as) => {
    const { id, challenge } = begun.verification;
    const proof = { passkeyAssertion: await get(challenge.requestOptions) };
    const input = { verificationId: id, clientSecret: begun.clientSecret, proof };
    const fields = `outcome { __typename ... on SignedIn { account { displayName } tokens { accessToken } } }`;
    return (await mutate('submitVerification', fields, input, as)).outcome;
  };
  const signedIn = await prove(await mutate('startPasskeySignIn', `${challenge} clientSecret`, {}));
  console.log(`${signedIn.__typename} as ${signedIn.account.displayName}`);
  const { accessToken } = signedIn.tokens;
  const methodId = passkey.id.replace('passkey_', 'sign_in_method_');
  console.log((await prove(await mutate('startStepUp', challenge, { methodId }, accessToken), accessToken)).__typename);
} finally {
  await browser.close();
}
