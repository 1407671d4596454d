// A subscription over WebSocket, after the protocol graphql-transport-ws:
// https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md

const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 15000;

// Runs one subscription until it completes, is refused, or the function that this returns is called.
// `currentToken()` is asked at each connection. `tell` has four functions: `state(text)`, `event(payload)`,
// `errors(list)`, and `ended(text)`, which is the last one to be called.
export function subscribe({ query, variables, currentToken }, tell) {
  const resumes = /\$after\b/.test(query);
  let socket;
  let timer;
  let cursor = null;
  let pause = FIRST_PAUSE;
  let done = false;

  function finish(text) {
    done = true;
    clearTimeout(timer);
    socket.close(1000);
    tell.ended(text);
  }

  function connect() {
    tell.state('Connecting …');
    const url = new URL('/graphql', location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    socket = new WebSocket(url, 'graphql-transport-ws');
    const send = (message) => socket.send(JSON.stringify(message));
    socket.onopen = () => {
      const token = currentToken();
      send({ type: 'connection_init', payload: token ? { authorization: `Bearer ${token}` } : {} });
    };
    socket.onmessage = ({ data }) => {
      if (!done) receive(JSON.parse(data), send);
    };
    socket.onclose = closed;
  }

  function receive({ type, payload }, send) {
    if (type === 'connection_ack') {
      pause = FIRST_PAUSE;
      const behind = cursor && resumes ? { ...variables, after: cursor } : variables;
      send({ id: '1', type: 'subscribe', payload: { query, variables: behind } });
      tell.state(behind === variables ? 'Live' : 'Live, continued behind the last event');
    } else if (type === 'ping') {
      send({ type: 'pong' });
    } else if (type === 'next') {
      cursor = Object.values(payload.data ?? {})[0]?.cursor ?? cursor;
      tell.event(payload);
    } else if (type === 'error') {
      tell.errors(payload);
      finish('Refused');
    } else if (type === 'complete') {
      finish('Completed');
    }
  }

  function closed({ code, reason }) {
    if (done) return;
    const text = `Closed with ${code}${reason ? `: ${reason}` : ''}`;
    // 44xx says that the same again would be refused again; 1000 that the server has nothing more to say.
    if (code === 1000 || (code >= 4400 && code < 4500)) return finish(text);
    tell.state(`${text}. Again in ${Math.round(pause / 1000)} s …`);
    // Up to a half more at random, so that not all clients of a restarted server come back at once.
    timer = setTimeout(connect, pause * (1 + Math.random() / 2));
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }

  connect();
  return () => {
    if (!done) finish('Stopped');
  };
}
