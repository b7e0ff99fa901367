// keybroker secret vault, version 1.0.0
//
// An AWS Lambda function that holds your organization's API keys in your own AWS account. keybroker asks it
// for the keys that it needs at that moment, uses them once and keeps none.
//
// Runtime: Node.js 18 or later (take the newest), with nothing to install and no permission in AWS.
// Settings: environment variables of the function, which total 4 KB in Lambda:
//   AUTH_TOKEN   the token that keybroker generated for you, 32 characters at least
//   and one variable for each key, named as keybroker lists it: ai_provider_..., wf_conn_..., bot_channel_...
// Its Function URL has the auth type NONE: AUTH_TOKEN is what keeps strangers out.

import { createHash, timingSafeEqual } from 'node:crypto';

export const VERSION = '1.0.0';

const SHORTEST_TOKEN = 32;
const MOST_KEYS = 100;
const NAME = /^[A-Za-z][A-Za-z0-9_]{0,255}$/;
// Only such variables are ever given out, so never AUTH_TOKEN, nor those that Lambda sets by itself.
const GIVEN_OUT = /^(ai_provider|wf_conn|bot_channel)_/;

/** Answers `{"keys":["a","b"]}` with `{"values":{"a":"..."},"missing":["b"]}`. */
export const handler = async (event) => {
  if (event.requestContext?.http?.method !== 'POST') {
    return answer(405, { error: 'The method must be POST.' }, { Allow: 'POST' });
  }
  if (!isAuthorized(event.headers?.authorization)) {
    return answer(401, { error: 'The bearer token is missing or wrong.' }, { 'WWW-Authenticate': 'Bearer' });
  }
  let keys;
  try {
    keys = JSON.parse(bodyOf(event))?.keys;
  } catch {
    return answer(400, { error: 'The body is not JSON.' });
  }
  const error = faultOf(keys);
  if (error) {
    return answer(400, { error });
  }
  const values = {};
  const missing = [];
  for (const name of new Set(keys)) {
    const value = valueOf(name);
    if (value) {
      values[name] = value;
    } else {
      missing.push(name);
    }
  }
  return answer(200, { values, missing });
};

/** Compares hashes, in constant time: how long it takes tells neither the token nor its length. */
function isAuthorized(header) {
  const token = process.env.AUTH_TOKEN?.trim() ?? '';
  if (token.length < SHORTEST_TOKEN) {
    console.error('Every request is refused: set AUTH_TOKEN to the token that keybroker generated for you.');
    return false;
  }
  const given = /^Bearer +([^ ]+)$/i.exec(header ?? '')?.[1] ?? '';
  return timingSafeEqual(sha256(given), sha256(token));
}

function sha256(text) {
  return createHash('sha256').update(text).digest();
}

function bodyOf({ body, isBase64Encoded }) {
  return isBase64Encoded ? Buffer.from(body, 'base64').toString() : body;
}

/** What is wrong with the names asked for, without repeating them. */
function faultOf(keys) {
  if (!Array.isArray(keys) || !keys.every((name) => typeof name === 'string')) {
    return 'The body must be {"keys":[...]} with an array of strings.';
  }
  if (keys.length > MOST_KEYS) {
    return `At most ${MOST_KEYS} keys can be asked for at once.`;
  }
  if (!keys.every((name) => NAME.test(name))) {
    return 'The name of a key begins with a letter and has only letters, digits and underscores.';
  }
  return null;
}

/** Of a key that is not there: nothing, as of one that is empty. */
function valueOf(name) {
  return GIVEN_OUT.test(name) && Object.hasOwn(process.env, name) ? process.env[name] : '';
}

function answer(statusCode, body, headers = {}) {
  return {
    statusCode,
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers },
    body: JSON.stringify(body),
  };
}
