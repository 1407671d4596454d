// The approval page of a sandbox platform: the person says as whom they allow the request in this page's address, or denies it.
// All that it shows of that address and of profiles is set as text, never as HTML.

const byId = (id) => document.getElementById(id);
const request = new URLSearchParams(location.search);

// The same request again, with the person's answer.
function answer(name, value) {
  const answered = new URLSearchParams(request);
  answered.set(name, value);
  location.assign(`authorize?${answered}`);
}

function profileItem({ external_id: externalId, handle, display_name: name, state }) {
  const button = document.createElement('button');
  button.type = 'button';
  button.dataset.profile = externalId;
  const shown = document.createElement('strong');
  shown.textContent = name;
  const details = document.createElement('small');
  details.textContent = state === 'active' ? handle : `${handle} · ${state.replaceAll('_', ' ')}`;
  button.append(shown, details);
  button.addEventListener('click', () => answer('approve_as', externalId));
  const item = document.createElement('li');
  item.append(button);
  return item;
}

async function showProfiles() {
  const response = await fetch('state');
  if (!response.ok) throw new Error(`The sandbox answered ${response.status}.`);
  const { profiles } = await response.json();
  const living = profiles.filter(({ state }) => state !== 'deleted');
  byId('profiles').replaceChildren(...living.map(profileItem));
}

const [, , platform] = location.pathname.split('/');
byId('platform').textContent = platform;
document.title = `${platform} sandbox approval`;
byId('destination').textContent = new URL(request.get('redirect_uri')).host;
byId('deny').addEventListener('click', () => answer('deny', 'yes'));
showProfiles().catch(({ message }) => {
  byId('problem').textContent = message;
  byId('problem').hidden = false;
});
