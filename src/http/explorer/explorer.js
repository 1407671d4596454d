// The page: takes an operation, runs it as a request or as a subscription, and shows what comes back.
// Whatever comes from the server is shown through textContent, never as HTML.

import { examples } from './examples.js';
import { showSchema } from './schema.js';
import { offerToken, request, startSession, token } from './session.js';
import { subscribe } from './socket.js';

const DRAFT_KEY = 'accounts-center.operation';
const MOST_EVENTS = 200;
// Colouring makes an element of each token; beyond this size that is slow and nobody reads it.
const LONGEST_COLOURED = 200_000;

const byId = (id) => document.getElementById(id);
const operationField = byId('operation');
const variablesField = byId('variables');
const variablesProblem = byId('variables-problem');
const runButton = byId('run');
const stopButton = byId('stop');
const statusLine = byId('status');
const resultView = byId('result');
const eventList = byId('events');
const tabs = [byId('result-tab'), byId('schema-tab')];

let seen = {};
let stopRunning = () => {};

function run() {
  const query = operationField.value;
  let variables;
  try {
    variables = readVariables();
  } catch (problem) {
    showVariablesProblem(problem.message);
    variablesField.focus();
    return;
  }
  showVariablesProblem(null);
  selectTab(tabs[0]);
  stop();
  stopButton.hidden = false;
  if (operationType(query) === 'subscription') runSubscription(query, variables);
  else runRequest(query, variables);
}

async function runRequest(query, variables) {
  const abort = new AbortController();
  stopRunning = () => {
    abort.abort();
    setStatus('Stopped');
  };
  setStatus('Running …');
  try {
    const { status, milliseconds, body } = await request(query, variables, abort.signal);
    const failed = status >= 400 || Boolean(body?.errors);
    setStatus(`${status} · ${milliseconds.toFixed(0)} ms`, failed ? 'bad' : 'good');
    showResult(body);
    learn(body?.data);
  } catch (problem) {
    // By now another one may be running, which the lines below would take for finished.
    if (abort.signal.aborted) return;
    setStatus(`No answer: ${problem.message}`, 'bad');
  }
  idle();
}

function runSubscription(query, variables) {
  resultView.hidden = true;
  eventList.replaceChildren();
  eventList.hidden = false;
  stopRunning = subscribe({ query, variables, currentToken: token }, {
    state: (text) => setStatus(text, text.startsWith('Live') ? 'good' : ''),
    event: (payload) => {
      addEvent(payload);
      learn(payload.data);
    },
    errors: (errors) => addEvent({ errors }),
    ended: (text) => {
      idle();
      setStatus(text, text === 'Stopped' || text === 'Completed' ? '' : 'bad');
    },
  });
}

function stop() {
  stopRunning();
  idle();
}

function idle() {
  // A focused element that disappears would take the keyboard's place on the page with it.
  if (document.activeElement === stopButton) runButton.focus();
  stopButton.hidden = true;
  stopRunning = () => {};
}

// Remembers what a later example needs.
function learn(data) {
  for (const field of Object.values(data ?? {})) {
    const verification = field?.verification?.id;
    if (verification && field.clientSecret) {
      seen.signInVerification = verification;
      seen.clientSecret = field.clientSecret;
    } else if (verification && verification !== seen.signInVerification) {
      seen.linkVerification = verification;
    }
    seen.eventCursor = field?.eventCursor ?? field?.cursor ?? seen.eventCursor;
    offerToken(field?.outcome?.tokens?.accessToken, 'The answer brought an access token.');
  }
}

// What a document runs: the type of its first operation. Strings and comments may contain anything, so they
// are passed over as wholes; a keyword counts only where a definition begins.
function operationType(query) {
  const tokens = query.match(/"""[^]*?"""|"(?:\\.|[^"\\\n])*"|#.*|[{}()]|[_A-Za-z]\w*/g) ?? [];
  let depth = 0;
  let begins = true;
  for (const token of tokens) {
    if (token[0] === '"' || token[0] === '#') continue;
    if (begins && token === '{') return 'query';
    if (begins && /^(query|mutation|subscription)$/.test(token)) return token;
    if (token === '{' || token === '(') depth += 1;
    if (token === '}' || token === ')') depth -= 1;
    begins = token === '}' && depth === 0;
  }
  return 'query';
}

function readVariables() {
  const text = variablesField.value.trim();
  if (!text) return {};
  const variables = JSON.parse(text);
  if (variables === null || typeof variables !== 'object' || Array.isArray(variables)) {
    throw new Error('The variables have to be a JSON object.');
  }
  return variables;
}

function showVariablesProblem(text) {
  variablesProblem.hidden = !text;
  variablesProblem.textContent = text ?? '';
  variablesField.setAttribute('aria-invalid', String(Boolean(text)));
}

function setStatus(text, kind = '') {
  statusLine.textContent = text;
  statusLine.className = `status ${kind}`;
}

function showResult(body) {
  eventList.hidden = true;
  resultView.hidden = false;
  resultView.replaceChildren(coloured(body));
}

function addEvent(payload) {
  const item = document.createElement('li');
  const time = document.createElement('time');
  const now = new Date();
  time.dateTime = now.toISOString();
  time.textContent = now.toLocaleTimeString();
  const text = document.createElement('pre');
  text.append(coloured(payload.errors ? payload : payload.data ?? null));
  if (payload.errors) item.className = 'bad';
  item.append(time, text);
  eventList.prepend(item);
  while (eventList.children.length > MOST_EVENTS) eventList.lastChild.remove();
}

// Pretty JSON with an element for each key, string and other value; plain text as it is.
function coloured(value) {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  const fragment = document.createDocumentFragment();
  if (typeof value === 'string' || text.length > LONGEST_COLOURED) {
    fragment.append(text);
    return fragment;
  }
  let end = 0;
  for (const match of text.matchAll(/("(?:\\.|[^"\\])*")(?=(:)?)|\b(?:true|false|null)\b|-?\d[\d.eE+-]*/g)) {
    const part = document.createElement('span');
    part.className = match[2] ? 'key' : match[1] ? 'string' : 'literal';
    part.textContent = match[0];
    fragment.append(text.slice(end, match.index), part);
    end = match.index + match[0].length;
  }
  fragment.append(text.slice(end));
  return fragment;
}

function selectTab(chosen) {
  for (const tab of tabs) {
    const selected = tab === chosen;
    tab.setAttribute('aria-selected', String(selected));
    tab.tabIndex = selected ? 0 : -1;
    byId(tab.getAttribute('aria-controls')).hidden = !selected;
  }
  if (chosen === tabs[1]) showSchema();
}

function useExample({ operation, variables, select }) {
  operationField.value = operation;
  variablesField.value = variables ? JSON.stringify(variables(seen), null, 2) : '';
  sessionStorage.setItem(DRAFT_KEY, operation);
  showVariablesProblem(null);
  const start = select ? variablesField.value.indexOf(select) : -1;
  if (start < 0) {
    operationField.focus();
    operationField.setSelectionRange(0, 0);
    operationField.scrollTop = 0;
  } else {
    variablesField.focus();
    variablesField.setSelectionRange(start, start + select.length);
  }
}

function listExamples() {
  for (const example of examples) {
    const button = document.createElement('button');
    const title = document.createElement('strong');
    const hint = document.createElement('span');
    button.type = 'button';
    title.textContent = example.title;
    hint.textContent = example.hint;
    button.append(title, hint);
    button.addEventListener('click', () => useExample(example));
    byId('examples').append(button);
  }
}

listExamples();
runButton.addEventListener('click', run);
stopButton.addEventListener('click', stop);
addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  run();
});
for (const [index, tab] of tabs.entries()) {
  tab.addEventListener('click', () => selectTab(tab));
  tab.addEventListener('keydown', (event) => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
    const other = tabs[1 - index];
    selectTab(other);
    other.focus();
  });
}
// Signing in leaves the page and comes back; the operation is kept, the variables are not, for their secrets.
operationField.value = sessionStorage.getItem(DRAFT_KEY) ?? examples[0].operation;
operationField.addEventListener('input', () => sessionStorage.setItem(DRAFT_KEY, operationField.value));
startSession(() => {
  // Cursors, verifications and streams belong to the account that they came from.
  stop();
  seen = {};
});
