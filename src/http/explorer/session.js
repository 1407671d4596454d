// Who is signed in, and requests in their name.

const TOKEN_KEY = 'accounts-center.token';
const ASKED_KEY = 'accounts-center.sign-in-asked';

const whoLabel = document.getElementById('who');
const signInLink = document.getElementById('sign-in');
const signOutButton = document.getElementById('sign-out');
const offer = document.getElementById('offer');
const offerText = document.getElementById('offer-text');

let offeredToken = null;
// The id, null for nobody, undefined while it is not known.
let accountId;
let onAccountChanged = () => {};

export const token = () => localStorage.getItem(TOKEN_KEY);

// POSTs one operation. Resolves to `{status, milliseconds, body, refused}`: `body` is the parsed answer, or
// the text of one that is not JSON; `refused` says that it wants a valid sign-in. Rejects where there was no
// answer at all.
export async function request(query, variables, signal) {
  const headers = {
    'Content-Type': 'application/json',
    Accept: 'application/graphql-response+json, application/json',
  };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  const begun = performance.now();
  const response = await fetch('/graphql', {
    method: 'POST',
    headers,
    body: JSON.stringify({ query, variables }),
    signal,
  });
  const text = await response.text();
  const milliseconds = performance.now() - begun;
  const body = parsedOrText(text);
  const refused = response.status === 401 || isRefused(body);
  if (refused && token()) showExpired();
  return { status: response.status, milliseconds, body, refused };
}

// Offers a token that came with an answer or a link; it is used only if the person says so.
export function offerToken(candidate, text) {
  if (!candidate || candidate === token()) return;
  offeredToken = candidate;
  offerText.textContent = text;
  offer.hidden = false;
}

// Takes over a token from the address, shows who is signed in, and calls `accountChanged` each time when
// that becomes somebody else, or nobody.
export function startSession(accountChanged) {
  onAccountChanged = accountChanged;
  signInLink.addEventListener('click', () => sessionStorage.setItem(ASKED_KEY, 'yes'));
  signOutButton.addEventListener('click', () => setToken(null));
  document.getElementById('offer-accept').addEventListener('click', () => setToken(offeredToken));
  document.getElementById('offer-refuse').addEventListener('click', closeOffer);
  addEventListener('hashchange', takeTokenFromAddress);
  // Fired for changes by other tabs only; a null key means that everything was cleared.
  addEventListener('storage', (event) => {
    if (event.key === TOKEN_KEY || event.key === null) showAccount();
  });
  takeTokenFromAddress();
  showAccount();
}

function takeTokenFromAddress() {
  const candidate = new URLSearchParams(location.hash.slice(1)).get('access_token');
  if (!candidate) return;
  // Out of the address bar and the history, where it would be copied, bookmarked or seen.
  history.replaceState(null, '', location.pathname + location.search);
  const asked = sessionStorage.getItem(ASKED_KEY);
  sessionStorage.removeItem(ASKED_KEY);
  // A link from elsewhere could sign a visitor in to somebody else's account, who would then link their
  // profiles to it. A server on this machine gives tokens to nobody else.
  if (asked || isThisMachine(location.hostname)) setToken(candidate);
  else offerToken(candidate, 'The link that you followed brought a sign-in. Use it only if you asked for it.');
}

function isThisMachine(hostname) {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname);
}

function setToken(value) {
  if (value) localStorage.setItem(TOKEN_KEY, value);
  else localStorage.removeItem(TOKEN_KEY);
  closeOffer();
  showAccount();
}

function closeOffer() {
  offeredToken = null;
  offer.hidden = true;
}

async function showAccount() {
  const asked = token();
  if (!asked) {
    show('Signed out', false);
    setAccount(null);
    return;
  }
  show('Signing in …', true);
  try {
    const { body, refused } = await request('query WhoAmI { viewer { id displayName } }');
    // Another tab may have signed in or out meanwhile; its own call shows that.
    if (token() !== asked) return;
    const viewer = body?.data?.viewer;
    if (viewer) {
      show(`Signed in as ${viewer.displayName}`, true);
      setAccount(viewer.id);
    } else if (body?.data) {
      showExpired();
    } else if (!refused) {
      show('The account cannot be read', true);
    }
  } catch {
    if (token() === asked) show('The server cannot be reached', true);
  }
}

// A running subscription outlives its access token, so running out changes what is shown and nothing else.
function showExpired() {
  show('Your sign-in has run out', true);
  signInLink.hidden = false;
}

function show(text, signedIn) {
  whoLabel.textContent = text;
  signInLink.hidden = signedIn;
  signOutButton.hidden = !signedIn;
}

function setAccount(id) {
  const known = accountId;
  accountId = id;
  // The first answer to who it is changes nothing, and the person may have begun before it came.
  const learnt = known === undefined && id !== null;
  if (id !== known && !learnt) onAccountChanged();
}

function isRefused(body) {
  return Boolean(body?.errors?.some?.((error) => error.extensions?.code === 'UNAUTHENTICATED'));
}

function parsedOrText(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
