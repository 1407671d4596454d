// Links profiles of the signed-in account by OAuth: starts a verification, sends the browser to the platform, and submits what
// it brings back. What comes from outside is set as text, never as HTML.

// The explorer's own, so that one sign-in is good for both pages.
const TOKEN_KEY = 'accounts-center.token';
// With the state behind: the verification that waits for it. In this tab alone, which is the one that was sent away.
const WAITING_KEY = 'accounts-center.oauth.';
const CALLBACK = '/dev/callback';

const HUB = `{
  viewer { displayName profiles { handle status platform { displayName } } }
  platforms { key displayName verificationMethods }
}`;
const START = `mutation($input: StartProfileLinkInput!) { startProfileLink(input: $input) {
  verification { id challenge { ... on OAuthChallenge { authorizationUrl state } } }
  userErrors { message }
} }`;
const SUBMIT = `mutation($input: SubmitVerificationInput!) { submitVerification(input: $input) {
  outcome { ... on ProfileLinked { profile { handle platform { displayName } } } }
  userErrors { message }
} }`;

const byId = (id) => document.getElementById(id);

async function run(query, variables) {
  const headers = { 'Content-Type': 'application/json' };
  const token = localStorage.getItem(TOKEN_KEY);
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch('/graphql', { method: 'POST', headers, body: JSON.stringify({ query, variables }) });
  const { data, errors } = await response.json();
  if (errors) throw new Error(errors[0].message);
  return data;
}

// The payload of a mutation; what the person can put right is thrown.
async function change(mutation, input) {
  const [payload] = Object.values(await run(mutation, { input }));
  const [error] = payload.userErrors;
  if (error) throw new Error(error.message);
  return payload;
}

async function start(platform) {
  const { verification } = await change(START, {
    platform,
    idempotencyKey: crypto.randomUUID(),
    proof: { oauth: { redirectUri: location.origin + CALLBACK } },
  });
  const { authorizationUrl, state } = verification.challenge;
  sessionStorage.setItem(WAITING_KEY + state, verification.id);
  location.assign(authorizationUrl);
}

async function finish(response) {
  // Out of the address bar and the history.
  history.replaceState(null, '', '/dev/link');
  const state = response.get('state');
  const verificationId = sessionStorage.getItem(WAITING_KEY + state);
  sessionStorage.removeItem(WAITING_KEY + state);
  if (!verificationId) throw new Error('This is the answer to nothing that was started in this tab.');
  const oauthResponse = { state };
  for (const name of ['code', 'error', 'iss']) {
    if (response.has(name)) oauthResponse[name] = response.get(name);
  }
  const { outcome } = await change(SUBMIT, { verificationId, proof: { oauthResponse } });
  const { handle, platform } = outcome.profile;
  byId('result').textContent = `${platform.displayName} profile ${handle} is linked.`;
  byId('result').hidden = false;
}

function profileItem({ handle, status, platform }) {
  const item = document.createElement('li');
  item.textContent = `${platform.displayName} · ${handle} · ${status}`;
  return item;
}

function platformButton({ key, displayName }) {
  const button = document.createElement('button');
  button.type = 'button';
  button.dataset.platform = key;
  button.textContent = `Link ${displayName}`;
  button.addEventListener('click', () => start(key).catch(show));
  return button;
}

async function showHub() {
  const { viewer, platforms } = await run(HUB);
  byId('who').textContent = viewer ? `Signed in as ${viewer.displayName}` : 'Signed out';
  if (!viewer) return;
  byId('profiles').replaceChildren(...viewer.profiles.map(profileItem));
  const oauth = platforms.filter(({ verificationMethods }) => verificationMethods.includes('OAUTH'));
  byId('platforms').replaceChildren(...oauth.map(platformButton));
}

function show({ message }) {
  byId('problem').textContent = message;
  byId('problem').hidden = false;
}

function takeTokenFromAddress() {
  const candidate = new URLSearchParams(location.hash.slice(1)).get('access_token');
  if (!candidate) return;
  history.replaceState(null, '', location.pathname);
  localStorage.setItem(TOKEN_KEY, candidate);
}

async function begin() {
  takeTokenFromAddress();
  const response = new URLSearchParams(location.search);
  if (location.pathname === CALLBACK) await finish(response).catch(show);
  await showHub();
}

begin().catch(show);
