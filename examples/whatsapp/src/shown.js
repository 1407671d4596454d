// Whose profile is whose, as far as this subgraph knows: a token names an account, and none of its profiles.
//
// What the router looks up for an account, the accounts graph has just shown to it. So whoever asked for a profile may follow it
// for an hour. A subgraph with a database would keep that there.
const HOUR = 3_600_000;
const KEPT = 100_000;

// When it ends, by account and external id, the one that was set first in front.
const ends = new Map();

const key = (account, externalId) => JSON.stringify([account, externalId]);

export function show(account, externalId) {
  ends.delete(key(account, externalId));
  ends.set(key(account, externalId), Date.now() + HOUR);
  if (ends.size > KEPT) ends.delete(ends.keys().next().value);
}

export function isShown(account, externalId) {
  return (ends.get(key(account, externalId)) ?? 0) > Date.now();
}
