/**
 * Edits of a manifest's text that keep its comments, blank lines and order. Every edit is checked: the new text must
 * say what the old one said and the intended change, nothing else, or the edit is refused.
 *
 * All throw PgorbitError: `no-such-group`, `no-such-member`, `no-such-host`, `usage` for a name that is taken, `manifest-invalid` when
 * the text cannot be read or is written in a way that cannot be edited safely (shared by an alias, for one).
 */
import { isDeepStrictEqual } from 'node:util';
import { isMap, isScalar, parseDocument } from 'yaml';
import type { Document, Node, Pair, YAMLMap } from 'yaml';
import { PgorbitError } from '../errors.ts';
import type { MemberSpec, Role } from '../group/model.ts';
import { asWritten } from './parse.ts';
import { formatSize } from './units.ts';
import { appendPair, fillPair, pairOf, removePair, replaceNode } from './splice.ts';

type Data = Record<string, unknown>;
type NodePair = Pair<Node, Node | null>;

/** The text with one more member at the end of the group's `members`. */
export function addMember(text: string, group: string, member: MemberSpec): string {
  const own = Object.fromEntries(Object.entries({ port: member.port, volume: member.volume, path: member.path, source: member.source, rate: member.rate === null ? null : formatSize(member.rate) }).filter(([, v]) => v !== null));
  const value: Data = { host: member.host, role: member.role, ...own };
  const line = `${member.name}: { ${Object.entries(value).map(([k, v]) => `${k}: ${typeof v === 'string' ? yamlText(v) : String(v)}`).join(', ')} }`;
  return edit(text, group, (node, data) => {
    const members = child(data, 'members');
    if (Object.hasOwn(members, member.name)) {
      throw new PgorbitError('usage', `group ${group} has a member ${member.name} already`, { hint: 'Choose another name.' });
    }
    members[member.name] = value;
    return insert(text, node, 'members', [line]);
  });
}

/** The text without the member; comments above it stay. */
export function removeMember(text: string, group: string, name: string): string {
  return edit(text, group, (node, data) => {
    const { members, pair } = memberPair(node, data, group, name);
    delete child(data, 'members')[name];
    return removePair(text, members, pair);
  });
}

/** The text with another role for the member. */
export function setRole(text: string, group: string, name: string, role: Role): string {
  return edit(text, group, (node, data) => {
    const { pair } = memberPair(node, data, group, name);
    const members = child(data, 'members');
    if (isScalar(pair.value) && typeof pair.value.value === 'string') {
      members[name] = role;
      return replaceNode(text, pair.value, role);
    }
    child(members, name)['role'] = role;
    const old = pairOf(pair.value, 'role')?.value;
    if (isScalar(old)) return replaceNode(text, old, role);
    return isMap(pair.value) ? appendPair(text, pair.value, [`role: ${role}`]) : text;
  });
}

/** The text with the setting at `value` (as postgresql.conf takes it, unquoted), or without the setting for null. */
export function setSetting(text: string, group: string, name: string, value: string | null): string {
  return edit(text, group, (node, data) => {
    const settings = pairOf(node, 'settings');
    // Names are compared as PostgreSQL does, in any case of letters.
    const written = isMap(settings?.value) ? settings.value.items.map((p) => String(p.key)).find((k) => k.toLowerCase() === name.toLowerCase()) : undefined;
    const pair = written === undefined ? undefined : pairOf(settings?.value, written);
    if (value === null) {
      if (!pair || written === undefined || !isMap(settings?.value)) return text;
      delete child(data, 'settings')[written];
      return removePair(text, settings.value, pair);
    }
    const plain = yamlText(value);
    if (data['settings'] === undefined || data['settings'] === null) data['settings'] = {};
    child(data, 'settings')[written ?? name] = parseDocument(plain).toJS() as unknown;
    if (isScalar(pair?.value) && (pair.value.range?.[1] ?? 0) > (pair.value.range?.[0] ?? 0)) return replaceNode(text, pair.value, blockSafe(text, pair.value, plain));
    return pair ? text : insert(text, node, 'settings', [`${name}: ${plain}`]);
  });
}

/** The text with one more host. */
export function addHost(text: string, host: { name: string; address: string; port: number | null }): string {
  const { name, address, port } = host;
  return editHosts(text, (hosts, data) => {
    if (Object.hasOwn(data, name)) throw new PgorbitError('usage', `the manifest has a host ${name} already`, { hint: 'Choose another name.' });
    data[name] = port === null ? address : { address, port };
    const value = port === null ? yamlText(address) : `{ address: ${yamlText(address)}, port: ${port} }`;
    return appendPair(text, hosts, [`${name}: ${value}`]);
  });
}

/** The text without the host; comments above it stay. */
export function removeHost(text: string, name: string): string {
  return editHosts(text, (hosts, data) => {
    const pair = pairOf(hosts, name);
    if (!pair) throw new PgorbitError('no-such-host', `the manifest has no host ${name}`, { hint: `It has ${Object.keys(data).join(', ')}.` });
    delete data[name];
    return removePair(text, hosts, pair);
  });
}

function editHosts(text: string, change: (node: YAMLMap, data: Data) => string): string {
  const doc = read(text);
  const intended = dataOf(doc);
  const node = pairOf(doc.contents, 'hosts')?.value;
  // What is no mapping of its own can't be edited, which shows as a difference.
  const edited = isMap(node) ? change(node, child(intended, 'hosts')) : text;
  return checked(edited, isMap(node) ? intended : { ...intended, hosts: null }, 'the list of hosts');
}

/** Adds a line to the group's mapping `key`, making that where it is not there. */
function insert(text: string, group: YAMLMap, key: string, lines: string[]): string {
  const pair = pairOf(group, key);
  if (!pair) return appendPair(text, group, group.flow ? [`${key}: { ${lines[0]} }`] : [`${key}:`, ...lines.map((line) => `  ${line}`)]);
  if (isMap(pair.value)) return appendPair(text, pair.value, lines);
  return isScalar(pair.value) && pair.value.value === null && pair.value.source === '' ? fillPair(text, pair, lines) : text;
}

/** A block scalar (`|`) ends with its line, which what replaces it has to end too. */
const blockSafe = (text: string, node: Node, plain: string): string => (text.slice(...(node.range!.slice(0, 2) as [number, number])).endsWith('\n') ? `${plain}\n` : plain);

function edit(text: string, group: string, change: (node: YAMLMap, data: Data) => string): string {
  const doc = read(text);
  const intended = dataOf(doc);
  const groups = intended['groups'];
  const data = typeof groups === 'object' && groups !== null && Object.hasOwn(groups, group) ? (groups as Data)[group] : undefined;
  if (typeof data !== 'object' || data === null) {
    throw new PgorbitError('no-such-group', `the manifest has no group ${group}`);
  }
  const node = pairOf(pairOf(doc.contents, 'groups')?.value, group)?.value;
  const edited = isMap(node) ? change(node, data as Data) : text;
  return checked(edited, intended, `group ${group}`);
}

/** The edited text, if it says what was intended and nothing else. */
function checked(edited: string, intended: Data, what: string): string {
  const result = parseDocument(edited, { prettyErrors: false, merge: true, logLevel: 'error' });
  if (result.errors.length > 0 || !isDeepStrictEqual(dataOf(result), intended)) {
    throw new PgorbitError('manifest-invalid', `${what} is written in a way that cannot be edited without changing more`, {
      hint: 'Edit the manifest by hand, then run `pgorbit up` with it.',
    });
  }
  return edited;
}

/** Plain data in which nothing is shared: a change of what an alias repeats has to show as a change in both places. */
const dataOf = (doc: Document.Parsed): Data => JSON.parse(JSON.stringify(doc.toJS() ?? {})) as Data;

function read(text: string): Document.Parsed {
  const doc = parseDocument(text, { prettyErrors: false, merge: true, logLevel: 'error' });
  const problem = doc.errors[0];
  if (problem) {
    throw new PgorbitError('manifest-invalid', `the manifest is not YAML: ${problem.message}`, { hint: 'Edit it by hand; `pgorbit up --dry-run` shows its errors.' });
  }
  return doc;
}

function memberPair(node: YAMLMap, data: Data, group: string, name: string): { members: YAMLMap; pair: NodePair } {
  const members = pairOf(node, 'members')?.value;
  const pair = pairOf(members, name);
  if (isMap(members) && pair) return { members, pair };
  const names = Object.keys(child(data, 'members'));
  throw new PgorbitError('no-such-member', `group ${group} has no member ${name}`, { hint: names.length === 0 ? undefined : `It has ${names.join(', ')}.` });
}

/** The mapping under a key; made anew where nothing is there. */
function child(data: Data, key: string): Data {
  const value = data[key];
  if (typeof value === 'object' && value !== null) return value as Data;
  return (data[key] = {}) as Data;
}

/** A setting's value as YAML that reads as exactly this text: plain where that is safe in flow and block style. */
function yamlText(value: string): string {
  if (/^[A-Za-z0-9_.+/-](?:[A-Za-z0-9_.+/ -]*[A-Za-z0-9_.+/-])?$/.test(value)) {
    const { contents, errors } = parseDocument(value);
    if (errors.length === 0 && isScalar(contents) && asWritten(contents) === value) return value;
  }
  return JSON.stringify(value);
}
