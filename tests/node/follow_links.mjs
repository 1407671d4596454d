// Follows the links of one account with the client that web applications use, and prints what it hears. It
// comes back after the server has gone, behind the last event.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const client = createClient({
  url: process.env.URL,
  webSocketImpl: WebSocket,
  lazy: false,
  retryAttempts: 200,
  retryWait: () => new Promise((resolve) => setTimeout(resolve, 100)),
  shouldRetry: () => true,
  connectionParams: { authorization: `Bearer ${process.env.TOKEN}` },
  on: {
    closed: (event) => { if (event.code !== 1006) console.log(`closed ${event.code}`); },
  },
});

let after = null;
const query = `subscription ($after: String) {
  linkStatusChanged(after: $after) { cursor linkStatus reason graphVersion profile { handle } }
}`;

const ask = (query) => new Promise((resolve, reject) => {
  let data;
  client.subscribe({ query }, { next: (answer) => { data = answer.data; }, error: reject, complete: () => resolve(data) });
});

// graphql-ws sends an operation again with the variables that it began with; `after` has to be the latest, so it is
// a property that is read anew each time.
const variables = { get after() { return after; } };

after = (await ask('{ viewer { eventCursor } }')).viewer.eventCursor;
client.subscribe({ query, variables }, {
  next: ({ data, errors }) => {
    if (errors) { console.error(errors); process.exit(1); }
    const event = data.linkStatusChanged;
    after = event.cursor;
    console.log(`${event.linkStatus} ${event.reason} ${event.graphVersion} ${event.profile.handle}`);
  },
  error: (error) => { console.error(error); process.exit(1); },
  complete: () => process.exit(0),
});
console.log('connected');
client.on('connected', () => console.log('connected'));
