// The other side of the portal: keybroker's REST API, as the app's backend calls it, and the providers' treatment of keys.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

export function setting(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: tests/it/portal.rs says what a scenario needs`);
  return value;
}

/** keybroker's origin, as a browser reaches it. */
export const base = new URL(setting('KEYBROKER_URL')).origin;
/** The organization that a scenario has to itself. */
export const org = setting('KEYBROKER_ORG');

export async function call(method, path, body) {
  const headers = { authorization: `Bearer ${setting('KEYBROKER_TOKEN')}` };
  if (body !== undefined) headers['content-type'] = 'application/json';
  const answer = await fetch(base + path, { method, headers, body: JSON.stringify(body) });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : null };
}

async function ask(method, path, body) {
  const answer = await call(method, path, body);
  assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

const path = (name, of) => `/v1/orgs/${of}/connections/${name}`;

/** A connection as the API shows it; null where there is none. */
export async function connection(name, of = org) {
  const answer = await call('GET', path(name, of));
  return answer.status === 404 ? null : answer.body;
}

/** What the app's backend reads; null where there is nothing to read. */
export async function credentials(name, of = org) {
  const answer = await call('GET', `${path(name, of)}/credentials`);
  return answer.status === 404 ? null : answer.body.credentials;
}

export const put = (name, body, of = org) => ask('PUT', path(name, of), body);
export const report = (name, status, of = org) => ask('POST', `${path(name, of)}/report`, { upstream_status: status });
export const events = async (of = org) => (await ask('GET', `/v1/orgs/${of}/events?limit=200`)).events;

/** The link of a new connect session, for the admin Ada unless told otherwise. */
export async function connectLink({ of = org, ...session } = {}) {
  const body = { actor: { id: 'user_ada', name: 'Ada Lovelace' }, ...session };
  return (await ask('POST', `/v1/orgs/${of}/connect-sessions`, body)).url;
}

/** Has the vault's function run with these environment variables and no others. */
export async function setFunction(variables) {
  const url = new URL('/_control/environment', setting('KEYBROKER_TEST_VAULT'));
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(url, { method: 'PUT', headers, body: JSON.stringify(variables) });
  assert.ok(answer.ok, `${answer.status}`);
}

/** A key that no other test has, and that its provider takes until told otherwise. */
export const newKey = (prefix = 'sk-') => prefix + randomUUID().replaceAll('-', '');

/** From now on `key` is treated so: `refuse`, `silence`, `status 503`, `slow 1500` (milliseconds), or `take`. */
export async function treat(key, how) {
  const url = `${setting('KEYBROKER_TEST_PROVIDER')}/treat/${encodeURIComponent(key)}`;
  const answer = await fetch(url, { method: 'PUT', body: how });
  assert.ok(answer.ok, `${how}: ${answer.status}`);
}
