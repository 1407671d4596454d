// The example's data: every profile begins with a phone; what came and went since is kept in memory.
import { randomUUID } from 'node:crypto';

const BEGIN = '2026-01-01T00:00:00.000Z';
const KEPT_CHANGES = 1000;

// The devices of those profiles whose devices changed.
const changed = new Map();
// The latest changes, and a number that counts them all. Cursors of another process are of no use here.
const process = randomUUID();
const changes = [];
let latest = 0;
// What wakes those who follow.
const waiting = new Set();

export function devicesOf(externalId) {
  return changed.get(externalId) ?? [phone(externalId)];
}

export function deviceById(id) {
  return devicesOf(ownerOf(id)).find((device) => device.id === id);
}

export function addDevice({ externalId, name, kind }) {
  const id = `${encodeURIComponent(externalId)}.${randomUUID()}`;
  const device = { id, externalId, name, kind, lastSeenAt: new Date().toISOString() };
  changed.set(externalId, [...devicesOf(externalId), device]);
  tell('ADDED', device);
  return device;
}

export function removeDevice(id) {
  const device = deviceById(id);
  if (!device) return undefined;
  const others = devicesOf(device.externalId).filter((other) => other.id !== id);
  changed.set(device.externalId, others);
  tell('REMOVED', device);
  return device;
}

// The changes of a profile's devices, behind the cursor or from now on, until that time and for as long as `mayGoOn` says so; what
// ends it is the last that comes, `{ refused }`. Nothing is queued for a reader: it reads the latest changes at its own pace, and one
// that falls behind them is told so.
export function follow({ externalId, after, until, mayGoOn }) {
  let number = after == null ? latest : numberOf(after);
  let wake = () => {};
  let timer;
  let ended = false;
  const end = (refused) => {
    ended = true;
    return { done: false, value: { refused } };
  };
  const iterator = {
    [Symbol.asyncIterator]: () => iterator,
    async next() {
      while (!ended) {
        if (Date.now() >= until) return end('FORBIDDEN');
        if (!isKept(number)) return end('CURSOR_EXPIRED');
        const change = changes.find((one) => one.number > number && one.device.externalId === externalId);
        number = change?.number ?? latest;
        if (change) return mayGoOn() ? { done: false, value: change } : end('FORBIDDEN');
        await new Promise((resolve) => { waiting.add(wake = resolve); timer = setTimeout(resolve, left(until)); });
        waiting.delete(wake);
        clearTimeout(timer);
      }
      return { done: true, value: undefined };
    },
    async return() {
      ended = true;
      wake();
      return { done: true, value: undefined };
    },
  };
  return iterator;
}

// The milliseconds until then, or as many as a timer takes.
function left(until) {
  return Math.min(until - Date.now(), 2 ** 31 - 1);
}

function tell(kind, device) {
  latest += 1;
  changes.push({ number: latest, cursor: `${process}.${latest}`, kind, device });
  if (changes.length > KEPT_CHANGES) changes.shift();
  for (const wake of waiting) wake();
}

// A cursor that says nothing here is behind all that is kept.
function numberOf(cursor) {
  const [of, number] = cursor.split('.');
  const known = of === process && /^\d+$/.test(number) && Number(number) <= latest;
  return known ? Number(number) : -1;
}

// Whether all that came behind this number is still there.
function isKept(number) {
  return number >= (changes[0]?.number ?? 1) - 1;
}

function phone(externalId) {
  const id = `${encodeURIComponent(externalId)}.phone`;
  return { id, externalId, name: 'Phone', kind: 'PHONE', lastSeenAt: BEGIN };
}

// The external id in a device's id.
function ownerOf(id) {
  try {
    return decodeURIComponent(id.slice(0, Math.max(id.lastIndexOf('.'), 0)));
  } catch {
    return '';
  }
}
