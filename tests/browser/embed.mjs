// keybroker in an app: by a popup that its /connect.js opens, and by a link that comes back.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { base, call, connectLink, credentials, newKey, org, setting } from './api.mjs';
import { scenario } from './harness.mjs';
import { connect, control, field, openLink, VAPI } from './portal.mjs';

/** The one origin that keybroker may return to. */
const allowed = setting('KEYBROKER_TEST_APP_ORIGIN');

/** What an app's developer writes, and a note of everything that it hears. */
const PAGE = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>App</title>
<link rel="icon" href="data:,"><script src="${base}/connect.js"></script></head><body>
<button id="connect">Connect Vapi</button><script>
  window.heard = { success: [], cancel: [], messages: [] };
  addEventListener('message', (event) => heard.messages.push({ origin: event.origin, data: event.data }));
  document.querySelector('#connect').addEventListener('click', () => {
    keybroker.connect({
      url: new URL(location.href).searchParams.get('link'),
      onSuccess: (...what) => heard.success.push(what),
      onCancel: (...what) => heard.cancel.push(what),
    });
  });
</script></body></html>`;

/** Serves the app at a port, and returns its origin. Its host is not keybroker's: to the browser it is another site. */
async function app(stage, port = 0) {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(request.url.startsWith('/settings') ? '<!doctype html><html lang="en"><title>Settings</title>' : PAGE);
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  stage.atEnd(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://localhost:${server.address().port}`;
}

const heard = (page) => page.evaluate(() => globalThis.heard);

async function openPopup(page, origin, link) {
  await page.goto(`${origin}/?link=${encodeURIComponent(link)}`);
  const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('#connect')]);
  await field(popup, VAPI.private).waitFor();
  return popup;
}

/** Where the page does not leave by itself, it has something to press. */
async function leave(page, left) {
  const back = control(page, '(return|back|done|close|continue)').first();
  await Promise.race([left, back.waitFor().catch(() => {})]);
  if (!page.isClosed() && (await back.isVisible().catch(() => false))) await back.click().catch(() => {});
  await left;
}

const of = `${org}-popup`;
const session = (more = {}) => connectLink({ of, providers: ['vapi'], return_url: `${allowed}/settings`, ...more });

scenario('a popup tells the app and closes', async (stage) => {
  const origin = await app(stage, new URL(allowed).port);
  assert.equal(origin, allowed);
  const visitor = await stage.visitor({ foreign: [origin] });
  const { page } = visitor;
  const popup = await openPopup(page, origin, await session());
  const closed = popup.waitForEvent('close');
  const key = newKey();
  await connect(popup, { [VAPI.public]: 'pk', [VAPI.private]: key });
  await leave(popup, closed);
  await page.waitForFunction(() => globalThis.heard.success.length > 0);
  await sleep(1500); // long enough to take the closed window for a cancellation
  const { success, cancel, messages } = await heard(page);
  assert.equal(success.length, 1);
  assert.match(JSON.stringify(success), /"vapi"/);
  assert.deepEqual(cancel, []);
  for (const message of messages) {
    assert.equal(message.origin, base);
    assert.ok(!JSON.stringify(message.data).includes(key));
  }
  assert.equal((await credentials('vapi', of)).privateApiKey, key);
});

scenario('a popup that is closed was cancelled', async (stage) => {
  const origin = await app(stage, new URL(allowed).port);
  const { page } = await stage.visitor({ foreign: [origin] });
  const popup = await openPopup(page, origin, await session({ of: `${org}-cancel` }));
  await popup.close();
  await page.waitForFunction(() => globalThis.heard.cancel.length > 0);
  await sleep(1500);
  const { success, cancel } = await heard(page);
  assert.deepEqual(success, []);
  assert.equal(cancel.length, 1);
});

scenario('another app that opens the popup hears nothing', async (stage) => {
  const origin = await app(stage);
  assert.notEqual(origin, allowed);
  const { page } = await stage.visitor({ foreign: [origin, allowed] });
  await page.context().route(`${allowed}/**`, (route) => route.fulfill({ body: 'the app' }));
  const popup = await openPopup(page, origin, await session({ of: `${org}-other` }));
  await connect(popup, { [VAPI.public]: 'pk', [VAPI.private]: newKey() }).catch(() => {}); // it may close
  await sleep(1500);
  const { success, messages } = await heard(page);
  assert.deepEqual(success, []);
  assert.deepEqual(messages, []);
  assert.ok(await credentials('vapi', `${org}-other`));
});

for (const script of [true, false]) {
  scenario(`a link comes back to the app ${script ? 'with' : 'without'} JavaScript`, async (stage) => {
    const origin = await app(stage, new URL(allowed).port);
    const { page } = await stage.visitor({ script, foreign: [origin] });
    const own = `${org}-return-${script}`;
    const link = await connectLink({ of: own, providers: ['vapi'], return_url: `${origin}/settings?tab=keys` });
    await openLink(page, link, { script });
    const returned = page.waitForURL((url) => url.origin === origin);
    await connect(page, { [VAPI.public]: 'pk', [VAPI.private]: newKey() });
    await leave(page, returned);
    const url = new URL(page.url());
    assert.equal(url.pathname, '/settings');
    assert.deepEqual(Object.fromEntries(url.searchParams), { tab: 'keys', status: 'connected', connection: 'vapi' });
  });
}

scenario('a link returns to allowed origins only', async () => {
  const port = Number(new URL(allowed).port);
  const wrong = [`${allowed}.evil.example/`, `http://localhost:${port + 1}/`, `https://localhost:${port}/`, 'javascript:1'];
  for (const return_url of [...wrong, `${allowed.replace('//', '//user@')}/`, '//evil.example/', '/portal']) {
    const answer = await call('POST', `/v1/orgs/${org}/connect-sessions`, { return_url });
    assert.ok([400, 422].includes(answer.status), `${return_url}: ${answer.status}`);
  }
});

scenario('the script that apps embed is small and served to be kept', async () => {
  const answer = await fetch(`${base}/connect.js`);
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type'), /^text\/javascript/);
  assert.match(answer.headers.get('cache-control') ?? '', /max-age/);
  assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
  assert.ok((await answer.text()).length < 10_000);
});
