// Whose profile is whose, where tokens name an account and none of its profiles: behind a router that passes on its clients' own.
//
// What such a router looks up for an account, the accounts graph has shown to it, if no other subgraph of that router makes up keys.
// So it counts as the account's for an hour. A subgraph with a database would keep that there.
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
