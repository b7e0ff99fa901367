// Every rule of the template, by events such as a Function URL makes. tests/it/vault/template.rs has it behind one.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { VERSION, handler } from './secret-vault-lambda.mjs';

const TOKEN = 'token-of-thirty-two-characters-00';
const KEYS = {
  ai_provider_openai_api_key: 'sk-"openai" ü 1',
  wf_conn_mail_token: 'SG.mail',
  bot_channel_help_token: 'xoxb-help',
};
const EMPTY = 'ai_provider_empty_api_key';

let before;
let logged;

beforeEach(() => {
  before = { ...process.env };
  Object.assign(process.env, { AUTH_TOKEN: TOKEN, ...KEYS, [EMPTY]: '' });
  logged = [];
  for (const level of ['debug', 'dir', 'error', 'info', 'log', 'trace', 'warn']) {
    mock.method(console, level, (...line) => logged.push(line.join(' ')));
  }
});

afterEach(() => {
  mock.restoreAll();
  for (const name of Object.keys(process.env)) {
    if (!(name in before)) delete process.env[name];
  }
  Object.assign(process.env, before);
});

/** A request that is right, but for what is said. `null` leaves a part out. */
function event({ method = 'POST', authorization = `Bearer ${TOKEN}`, body = '{"keys":[]}', base64 = false } = {}) {
  return {
    version: '2.0',
    headers: authorization === null ? {} : { authorization },
    requestContext: { http: { method } },
    ...(body === null ? {} : { body }),
    isBase64Encoded: base64,
  };
}

function asking(...keys) {
  return event({ body: JSON.stringify({ keys }) });
}

/** The body of the answer, whose form is checked. */
async function answered(request, status, headers = {}) {
  const answer = await handler(request);
  assert.equal(answer.statusCode, status, answer.body);
  const always = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };
  assert.deepEqual(answer.headers, { ...always, ...headers });
  return JSON.parse(answer.body);
}

async function refused(request, status, headers) {
  const body = await answered(request, status, headers);
  assert.deepEqual(Object.keys(body), ['error']);
  assert.match(body.error, /^[A-Z].{15,}\.$/);
  return body.error;
}

const unauthorized = (request) => refused(request, 401, { 'WWW-Authenticate': 'Bearer' });

test('the ping is answered with nothing', async () => {
  assert.deepEqual(await answered(event(), 200), { values: {}, missing: [] });
});

test('the keys asked for are given, and no others', async () => {
  const { wf_conn_mail_token, ai_provider_openai_api_key } = KEYS;
  const body = await answered(asking('wf_conn_mail_token', 'wf_conn_absent', 'ai_provider_openai_api_key'), 200);
  assert.deepEqual(body.values, { wf_conn_mail_token, ai_provider_openai_api_key });
  assert.deepEqual(body.missing, ['wf_conn_absent']);
  assert.deepEqual((await answered(asking(...Object.keys(KEYS)), 200)).values, KEYS);
});

test('an empty value is missing', async () => {
  assert.deepEqual(await answered(asking(EMPTY), 200), { values: {}, missing: [EMPTY] });
});

test('names are case-sensitive', async () => {
  for (const name of ['AI_PROVIDER_OPENAI_API_KEY', 'ai_provider_OpenAI_api_key']) {
    assert.deepEqual(await answered(asking(name), 200), { values: {}, missing: [name] });
  }
});

test('a name asked for twice is answered once', async () => {
  const [key, absent] = ['bot_channel_help_token', 'bot_channel_absent_token'];
  const body = await answered(asking(key, absent, key, absent), 200);
  assert.deepEqual(body, { values: { [key]: KEYS[key] }, missing: [absent] });
});

test('nothing but keys is given out', async () => {
  const lambdas = ['AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'LAMBDA_TASK_ROOT', 'NODE_PATH', 'PATH', 'TZ'];
  const others = ['my_ai_provider_key', 'ai_providers', 'WF_CONN_mail_token', 'database_password'];
  for (const name of ['AUTH_TOKEN', ...lambdas, ...others]) {
    process.env[name] ??= 'set';
    assert.deepEqual(await answered(asking(name), 200), { values: {}, missing: [name] });
  }
});

test('what every object inherits is missing, too', async () => {
  for (const name of ['constructor', 'toString', 'hasOwnProperty', 'valueOf']) {
    assert.deepEqual(await answered(asking(name), 200), { values: {}, missing: [name] });
  }
  await refused(asking('__proto__'), 400);
});

test('what is inherited is not given out even under the name of a key', async () => {
  Object.prototype.wf_conn_inherited_token = 'inherited';
  try {
    const body = await answered(asking('wf_conn_inherited_token'), 200);
    assert.deepEqual(Object.keys(body.values), []);
    assert.deepEqual(body.missing, ['wf_conn_inherited_token']);
  } finally {
    delete Object.prototype.wf_conn_inherited_token;
  }
});

test('a body in base64 is decoded', async () => {
  const body = Buffer.from('{"keys":["wf_conn_mail_token"]}').toString('base64');
  const { values } = await answered(event({ body, base64: true }), 200);
  assert.deepEqual(values, { wf_conn_mail_token: KEYS.wf_conn_mail_token });
  await refused(event({ body }), 400);
  await refused(event({ body: '{"keys":[]}', base64: true }), 400);
  await refused(event({ body: null, base64: true }), 400);
});

test('any other method is refused first', async () => {
  for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'post']) {
    for (const authorization of [`Bearer ${TOKEN}`, null]) {
      await refused(event({ method, authorization, body: 'no JSON' }), 405, { Allow: 'POST' });
    }
  }
  await refused({}, 405, { Allow: 'POST' }); // such as the console's button Test sends
});

test('any other token is refused, and its body is not looked at', async () => {
  const near = [TOKEN.slice(1), TOKEN.slice(0, -1), `${TOKEN}0`, TOKEN.toUpperCase(), `${TOKEN.slice(0, -1)}1`];
  for (const other of [...near, 'x', 't'.repeat(100_000), 'ü']) {
    await unauthorized(event({ authorization: `Bearer ${other}`, body: 'no JSON' }));
  }
  assert.deepEqual(logged, []);
});

test('any other scheme is refused', async () => {
  const empty = [null, '', ' ', 'Bearer', 'Bearer '];
  const others = [TOKEN, `Basic ${TOKEN}`, `Bearer${TOKEN}`, `Bearer ${TOKEN} ${TOKEN}`, `Basic x, Bearer ${TOKEN}`];
  for (const authorization of [...empty, ...others]) {
    await unauthorized(event({ authorization }));
  }
  await unauthorized({ ...event(), headers: undefined });
});

test('the scheme is taken in any case', async () => {
  for (const scheme of ['Bearer', 'bearer', 'BEARER', 'bEaReR', 'Bearer ']) {
    await answered(event({ authorization: `${scheme} ${TOKEN}` }), 200);
  }
});

test('without a token of 32 characters everything is refused, and the log says what to do', async () => {
  const short = 't'.repeat(31);
  for (const token of [undefined, '', ' ', short, ` ${short} `]) {
    delete process.env.AUTH_TOKEN;
    if (token !== undefined) process.env.AUTH_TOKEN = token;
    for (const authorization of [null, 'Bearer ', `Bearer ${token}`, `Bearer ${short}`, 'Bearer undefined']) {
      logged = [];
      await unauthorized(event({ authorization }));
      assert.equal(logged.length, 1);
      assert.match(logged[0], /set AUTH_TOKEN/);
      assert(!logged[0].includes(short) && !logged[0].includes('\n'), logged[0]);
    }
  }
  const long = 't'.repeat(32);
  process.env.AUTH_TOKEN = `${long}\n`; // as it may be pasted
  await answered(event({ authorization: `Bearer ${long}` }), 200);
});

test('a body that is not JSON is refused', async () => {
  for (const body of [null, '', 'keys', '{"keys":[]', '[', 'undefined']) {
    assert.match(await refused(event({ body }), 400), /not JSON/);
  }
});

test('a body of another shape is refused', async () => {
  const bodies = ['null', '1', '"keys"', '[]', '["a"]', '{}', '{"Keys":[]}'];
  const keys = ['null', '"wf_conn_mail_token"', '{"length":0}', '[1]', '["a",null]', '[["a"]]'];
  for (const body of [...bodies, ...keys.map((value) => `{"keys":${value}}`)]) {
    assert.match(await refused(event({ body }), 400), /array of strings/);
  }
});

test('a hundred keys can be asked for, and no more', async () => {
  const names = Array.from({ length: 100 }, (_, index) => `wf_conn_${index}_token`);
  assert.deepEqual((await answered(asking(...names), 200)).missing, names);
  assert.match(await refused(asking(...names, names[0]), 400), /At most 100 keys/);
});

test('a name that no key can have is refused', async () => {
  const names = ['', ' ', '_', '1a', 'wf-conn', 'wf_conn_mail_token ', 'wf_conn_mail_token\n', 'a.b', 'ü', '*'];
  for (const name of [...names, 'a'.repeat(257)]) {
    assert.match(await refused(asking('wf_conn_mail_token', name), 400), /name of a key/);
  }
  await answered(asking('a'.repeat(256)), 200);
});

test('nothing is ever logged of keys, names and tokens', async () => {
  await answered(asking(...Object.keys(KEYS), 'wf_conn_absent_token'), 200);
  await refused(asking('no name'), 400);
  await refused(event({ body: `{"keys":["wf_conn_mail_token"` }), 400);
  await unauthorized(event({ authorization: 'Bearer another-token-that-is-long-enough' }));
  await refused(event({ method: 'GET' }), 405, { Allow: 'POST' });
  assert.deepEqual(logged, []);
});

test('refusals repeat nothing of the request', async () => {
  const canary = 'canary-0123456789';
  const requests = [
    [event({ authorization: `Bearer ${canary}` }), 401],
    [event({ body: canary }), 400],
    [event({ body: `{"keys":"${canary}"}` }), 400],
    [asking(canary), 400],
    [event({ method: canary }), 405],
  ];
  for (const [request, status] of requests) {
    const answer = await handler(request);
    assert.equal(answer.statusCode, status);
    assert(!JSON.stringify(answer).includes(canary), answer.body);
  }
});

test('the first line tells the version', () => {
  const source = readFileSync(new URL('./secret-vault-lambda.mjs', import.meta.url), 'utf8');
  assert.equal(source.split('\n')[0], `// keybroker secret vault, version ${VERSION}`);
});
