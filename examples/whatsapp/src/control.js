// What people do with their phones, for demonstrations and tests: no part of the graph, and not for a port that others reach.
//
//     POST /devices {"externalId": "wa_ada", "name": "Kitchen laptop", "kind": "WEB"}
//     DELETE /devices/{id}
import { json } from 'node:stream/consumers';
import { addDevice, removeDevice } from './devices.js';

const KINDS = ['DESKTOP', 'PHONE', 'WEB'];

export async function control(path, request, response) {
  const answer = (status, body) => {
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
  };
  if (request.method === 'POST' && path === '/devices') {
    // No page of another origin sends this type without asking.
    if (!request.headers['content-type']?.startsWith('application/json')) {
      return answer(415, { error: 'application/json, please' });
    }
    const wanted = await json(request).catch(() => null);
    const { externalId, name, kind } = wanted ?? {};
    const good = [externalId, name].every((text) => typeof text === 'string' && text) && KINDS.includes(kind);
    return good
      ? answer(201, addDevice({ externalId, name, kind }))
      : answer(400, { error: `externalId, name, and kind, one of ${KINDS.join(', ')}` });
  }
  const [, id] = /^\/devices\/(.+)$/.exec(path) ?? [];
  if (request.method === 'DELETE' && id) {
    const removed = removeDevice(decodeURIComponent(id));
    return removed ? answer(200, removed) : answer(404, { error: 'no such device' });
  }
  return answer(404, { error: 'nothing here' });
}
