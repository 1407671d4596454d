// The schema, read from the server by introspection, to look things up while writing an operation.

import { request } from './session.js';

const searchField = document.getElementById('schema-search');
const statusLine = document.getElementById('schema-status');
const typeList = document.getElementById('schema-types');

// Three wrappers are the most that a list takes: [Type!]!. More would only cost depth, which servers limit.
const INTROSPECTION = `query Introspection {
  __schema {
    queryType { name }
    mutationType { name }
    subscriptionType { name }
    types {
      kind name description specifiedByURL isOneOf
      fields(includeDeprecated: true) {
        name description isDeprecated deprecationReason
        args { ...Input }
        type { ...Type }
      }
      inputFields { ...Input }
      interfaces { name }
      possibleTypes { name }
      enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
    }
  }
}
fragment Input on __InputValue { name description defaultValue type { ...Type } }
fragment Type on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }`;

// More matches than these are left closed, so that their names can be seen at a glance.
const MOST_OPENED = 3;

let loaded = false;
// Of each type its introspection, its `details` element, and the text that a search looks at.
let entries = [];

// Loads the schema if it has not been loaded yet.
export async function showSchema() {
  if (loaded) return;
  loaded = true;
  statusLine.textContent = 'Loading …';
  try {
    const { status, body } = await request(INTROSPECTION, {});
    const schema = body?.data?.__schema;
    if (!schema) throw new Error(body?.errors?.[0]?.message ?? body?.detail ?? `status ${status}`);
    list(schema);
  } catch (problem) {
    loaded = false;
    statusLine.textContent = `The schema cannot be read: ${problem.message}`;
  }
}

function list(schema) {
  const roots = [schema.queryType, schema.mutationType, schema.subscriptionType].map((root) => root?.name);
  const rank = ({ name }) => (roots.includes(name) ? roots.indexOf(name) : roots.length);
  entries = schema.types
    .filter((type) => !type.name.startsWith('__'))
    .sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name))
    .map((type) => ({ type, element: typeElement(type), text: searchText(type) }));
  search();
}

function search() {
  const words = searchField.value.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = entries.filter(({ text }) => words.every((word) => text.includes(word)));
  const named = ({ type }) => words.length > 0 && words.every((word) => type.name.toLowerCase().includes(word));
  // Those with the words in their own name first; within both groups the order stays.
  matches.sort((a, b) => named(b) - named(a));
  typeList.replaceChildren(...matches.map(({ element }) => element));
  statusLine.textContent = `${matches.length} of ${entries.length} types`;
  if (words.length > 0 && matches.length <= MOST_OPENED) {
    for (const { element } of matches) element.open = true;
  }
}

function jumpTo(name) {
  const entry = entries.find(({ type }) => type.name === name);
  if (!entry) return;
  searchField.value = '';
  search();
  entry.element.fill();
  entry.element.open = true;
  entry.element.scrollIntoView({ block: 'start' });
  entry.element.querySelector('summary').focus({ preventScroll: true });
}

function searchText(type) {
  const members = [...(type.fields ?? []), ...(type.inputFields ?? []), ...(type.enumValues ?? [])];
  const args = members.flatMap((member) => member.args ?? []);
  const parts = [type, ...members, ...args].flatMap((part) => [part.name, part.description ?? '']);
  return parts.join('\n').toLowerCase();
}

function typeElement(type) {
  const details = element('details');
  const summary = element('summary');
  summary.append(element('span', 'type-name', type.name), ' ', element('span', 'kind', kindName(type)));
  details.append(summary);
  // Filled when it is first looked at: hundreds of types at once would make the page wait.
  let filled = false;
  details.fill = () => {
    if (!filled) details.append(...typeContent(type));
    filled = true;
  };
  details.addEventListener('toggle', details.fill);
  return details;
}

function kindName(type) {
  if (type.isOneOf) return 'input, exactly one';
  const names = { OBJECT: 'type', INPUT_OBJECT: 'input' };
  return names[type.kind] ?? type.kind.toLowerCase();
}

function typeContent(type) {
  const content = [];
  if (type.description) content.push(element('p', 'description', type.description));
  if (type.specifiedByURL) content.push(element('p', 'description', `Specified by ${type.specifiedByURL}`));
  if (type.interfaces?.length) content.push(namesLine('implements', type.interfaces));
  if (type.possibleTypes?.length) content.push(namesLine('is one of', type.possibleTypes));
  const members = [...(type.fields ?? []), ...(type.inputFields ?? []), ...(type.enumValues ?? [])];
  if (members.length > 0) {
    const items = element('ul', 'members');
    items.append(...members.map(memberItem));
    content.push(items);
  }
  return content;
}

function namesLine(label, types) {
  const line = element('p', 'names', label);
  for (const { name } of types) line.append(' ', typeLink(name));
  return line;
}

function memberItem(member) {
  const item = element('li');
  item.append(signature(member));
  if (member.isDeprecated) item.append(element('p', 'deprecated', `Deprecated: ${member.deprecationReason}`));
  if (member.description) item.append(element('p', 'description', member.description));
  if (member.args?.length) {
    const args = element('ul', 'arguments');
    args.append(...member.args.map(memberItem));
    item.append(args);
  }
  return item;
}

function signature({ name, type, defaultValue, args }) {
  const code = element('code', 'signature');
  code.append(element('span', 'member-name', name));
  if (args?.length) code.append('(…)');
  if (type) code.append(': ', ...typeReference(type));
  if (defaultValue !== null && defaultValue !== undefined) code.append(` = ${defaultValue}`);
  return code;
}

function typeReference({ kind, name, ofType }) {
  if (kind === 'NON_NULL') return [...typeReference(ofType), '!'];
  if (kind === 'LIST') return ['[', ...typeReference(ofType), ']'];
  return [typeLink(name)];
}

function typeLink(name) {
  const link = element('button', 'type-link', name);
  link.type = 'button';
  link.addEventListener('click', () => jumpTo(name));
  return link;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

searchField.addEventListener('input', search);
document.getElementById('schema-reload').addEventListener('click', () => {
  loaded = false;
  showSchema();
});
