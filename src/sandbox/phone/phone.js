// A phone of the sandbox: the codes and notices that the platform delivered to one of its profiles. All addresses are
// relative, because the sandbox may be a part of the server or a process of its own.

const POLL_MILLISECONDS = 1000;

const PURPOSES = {
  LINK: 'to link this profile',
  REVERIFY: 'to prove this profile again',
  SIGN_IN: 'to sign in',
  STEP_UP: 'to confirm that it is you',
  RECOVERY: 'to recover an account',
};

const byId = (id) => document.getElementById(id);
const profileSelect = byId('profile');
const profileState = byId('profile-state');
const problemLine = byId('problem');
const emptyNote = byId('empty');
const codeList = byId('codes');
const noticeList = byId('notices');
const addForm = byId('add');

let profiles = [];
// The external id of the profile whose inbox is on the screen.
let inboxOf;
// What the list shows, so that an unchanged inbox keeps its elements, and with them the focus.
let shown = null;

// The parsed answer; a refusal is thrown with the title and detail of its problem+json.
async function call(address, options) {
  const response = await fetch(address, options);
  const text = await response.text();
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    // An answer without JSON is told by its status, below, or has nothing to say.
  }
  if (response.ok) return body;
  const words = [body?.title, body?.detail].filter(Boolean).join(': ');
  throw new Error(words || `The sandbox answered ${response.status}.`);
}

async function loadProfiles(chosenId) {
  profiles = (await call('state')).profiles;
  const wanted = profiles.find((profile) => profile.external_id === chosenId)
    ?? profiles.find((profile) => profile.handle === handleInAddress())
    ?? profiles[0];
  profileSelect.replaceChildren(...profiles.map(({ external_id, handle, display_name }) => {
    const option = document.createElement('option');
    option.value = external_id;
    option.textContent = `${display_name} · ${handle}`;
    return option;
  }));
  if (wanted) profileSelect.value = wanted.external_id;
  choose();
}

function chosen() {
  return profiles.find((profile) => profile.external_id === profileSelect.value);
}

function choose() {
  const profile = chosen();
  // In the address, so that a reload or a bookmark shows the same phone.
  if (profile) history.replaceState(null, '', `#${encodeURIComponent(profile.handle)}`);
  const state = profile?.state ?? 'active';
  profileState.hidden = state === 'active';
  profileState.textContent = `State at the platform: ${state.replaceAll('_', ' ')}`;
  if (profile?.external_id === inboxOf) return;
  inboxOf = profile?.external_id;
  shown = null;
  codeList.replaceChildren();
  noticeList.replaceChildren();
  emptyNote.hidden = true;
}

function handleInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return '';
  }
}

async function readInbox() {
  // Tried anew at each turn, for a server that was away when the page was opened.
  if (profiles.length === 0) await loadProfiles();
  const profile = chosen();
  if (!profile) {
    showProblem('This sandbox has no profiles. Add one below.');
    return;
  }
  const inbox = await call(`inbox?handle=${encodeURIComponent(profile.handle)}`);
  showProblem(null);
  // Another profile may have been chosen while the answer was on its way.
  if (chosen() === profile) showInbox(inbox, profile);
}

async function refresh() {
  try {
    await readInbox();
  } catch (problem) {
    // What `fetch` throws where there was no answer.
    const unreachable = problem instanceof TypeError;
    showProblem(unreachable ? 'The sandbox cannot be reached. Trying again …' : problem.message);
  }
}

async function poll() {
  if (!document.hidden) await refresh();
  setTimeout(poll, POLL_MILLISECONDS);
}

function showProblem(text, line = problemLine) {
  line.hidden = !text;
  // Setting the same text again would have it read out again each second.
  if (line.textContent !== (text ?? '')) line.textContent = text ?? '';
}

function showInbox({ codes, notices }, profile) {
  emptyNote.hidden = codes.length + notices.length > 0;
  byId('empty-handle').textContent = profile.handle;
  const now = JSON.stringify([codes, notices]);
  if (now === shown) return;
  shown = now;
  codeList.replaceChildren(...codes.map(codeItem));
  noticeList.replaceChildren(...notices.map(noticeItem));
}

function codeItem({ code, purpose, sent_at: sentAt }) {
  const item = document.createElement('li');
  const words = document.createElement('p');
  words.textContent = `Your code ${PURPOSES[purpose?.toUpperCase()] ?? `for ${purpose}`}`;
  const digits = document.createElement('strong');
  digits.className = 'code';
  digits.textContent = code;
  const copyButton = document.createElement('button');
  copyButton.type = 'button';
  copyButton.textContent = 'Copy';
  copyButton.addEventListener('click', () => copy(digits, copyButton));
  item.append(words, digits, copyButton, timeOf(sentAt));
  return item;
}

function noticeItem({ text, action_url: actionUrl, sent_at: sentAt }) {
  const item = document.createElement('li');
  const words = document.createElement('p');
  words.className = 'notice';
  words.textContent = text;
  item.append(words);
  // A platform shows no other links, and neither does this.
  if (/^https?:/.test(actionUrl ?? '')) {
    const link = document.createElement('a');
    link.href = actionUrl;
    link.rel = 'noreferrer';
    link.textContent = 'Look at your account';
    item.append(link);
  }
  item.append(timeOf(sentAt));
  return item;
}

function timeOf(sentAt) {
  const time = document.createElement('time');
  const sent = new Date(sentAt);
  if (!Number.isNaN(sent.getTime())) {
    time.dateTime = sent.toISOString();
    time.textContent = sent.toLocaleTimeString();
  }
  return time;
}

async function copy(digits, button) {
  try {
    await navigator.clipboard.writeText(digits.textContent);
  } catch {
    // No clipboard over plain HTTP from another machine; the old way works there too.
    getSelection().selectAllChildren(digits);
    document.execCommand('copy');
  }
  button.textContent = 'Copied';
  setTimeout(() => { button.textContent = 'Copy'; }, 1500);
}

async function addProfile(event) {
  event.preventDefault();
  const externalId = newExternalId();
  byId('add-button').disabled = true;
  try {
    await call('profiles', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        external_id: externalId,
        // People write phone numbers in groups; the platform knows them without.
        handle: byId('handle').value.replace(/[\s()-]/g, ''),
        display_name: byId('name').value.trim(),
      }),
    });
    showProblem(null, byId('add-problem'));
    addForm.reset();
    byId('adding').open = false;
    await loadProfiles(externalId);
    profileSelect.focus();
  } catch (problem) {
    showProblem(problem.message, byId('add-problem'));
  } finally {
    byId('add-button').disabled = false;
  }
}

// Opaque, as a platform's ids have to be: it must not tell the phone number.
function newExternalId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `wa_${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

profileSelect.addEventListener('change', () => {
  choose();
  refresh();
});
addForm.addEventListener('submit', addProfile);
// Whoever comes back to this tab may have changed the profiles elsewhere; a failure shows in the next poll.
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) loadProfiles(profileSelect.value).catch(() => {});
});
poll();
