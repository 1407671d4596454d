// The subgraph over HTTP and, for subscriptions, over WebSocket (`graphql-transport-ws`), both at `/graphql`.
import { createServer } from 'node:http';
import { createHandler } from 'graphql-http/lib/use/http';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';
import { control } from './control.js';
import { schema } from './graph.js';
import { verifier } from './tokens.js';

const BODY_BYTES = 1024 * 1024;

// A body without a length could be of any.
function isShort({ headers }) {
  return headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) <= BODY_BYTES;
}

// Listens, and gives the URL and a way to stop.
export async function serve({ host, port, followSeconds, ...trust }) {
  const verify = verifier(trust);
  const graphql = createHandler({
    schema,
    context: async ({ headers }) => ({ caller: await verify(headers.authorization) }),
  });
  const server = createServer((request, response) => {
    if (!isShort(request)) return response.writeHead(413).end();
    const { pathname } = new URL(request.url, 'http://subgraph');
    if (pathname === '/graphql') return graphql(request, response);
    return control(pathname, request, response);
  });

  const sockets = new WebSocketServer({ server, path: '/graphql', maxPayload: BODY_BYTES });
  const following = useServer({
    schema,
    // The Accounts Center says it in both places; others in one of them.
    context: async ({ connectionParams, extra }) => {
      const said = connectionParams?.Authorization ?? connectionParams?.authorization;
      return { caller: await verify(said ?? extra.request.headers.authorization), followSeconds };
    },
  }, sockets);

  await new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  let stopping = false;
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    // What is under way has its time, and so have those who follow to say goodbye.
    setTimeout(() => {
      server.closeAllConnections();
      for (const socket of sockets.clients) socket.terminate();
    }, 2000).unref();
    process.stdin.destroy();
    server.close();
    server.closeIdleConnections();
    await following.dispose();
  };
  return { url: `http://${host}:${server.address().port}/graphql`, stop };
}
