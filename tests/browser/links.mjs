// Who gets in, to what, and for how long.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { base, call, connection, connectLink, credentials, newKey, org, put } from './api.mjs';
import { scenario } from './harness.mjs';
import { accepted, address, card, cards, connect, control, openLink, press, says, shows, text, VAPI } from './portal.mjs';

const GONE = /expired|used|spent|no longer/i;
const WHAT_TO_DO = /new link|again|back to/i;
const vapi = (key) => ({ provider: 'vapi', credentials: { publicApiKey: 'pk', privateApiKey: key } });
const plain = (url, options = {}) => fetch(url, { redirect: 'manual', ...options });

/** A request that the page sent, to be sent once more with one thing changed. */
async function caught(page, act) {
  const [request] = await Promise.all([page.waitForRequest((request) => request.method() === 'POST'), act()]);
  const headers = await request.allHeaders();
  return { url: request.url(), headers, form: new URLSearchParams(request.postData() ?? '') };
}

/** Sends a caught request again. */
function resend({ url, headers, form }, changes = {}) {
  const kept = Object.entries({ ...headers, ...changes.headers }).filter(
    ([name, value]) => value !== undefined && !name.startsWith(':') && !['host', 'content-length'].includes(name),
  );
  return plain(url, { method: 'POST', headers: Object.fromEntries(kept), body: `${changes.form ?? form}` });
}

/** The hidden inputs of the form that has this button. */
const hidden = async (page, name) =>
  control(page, name).last().evaluate((it) => {
    const inputs = [...it.form.querySelectorAll('input[type=hidden]')];
    return Object.fromEntries(inputs.map((input) => [input.name, input.value]));
  });

// Sixty seconds is the shortest that a link can live: its end comes while the others run.
const shortLived = { link: await connectLink({ expires_in: 60 }), until: Date.now() + 61_000 };

scenario('a preview of a link spends nothing', async (stage) => {
  const link = await connectLink({ providers: ['vapi'] });
  for (const method of ['GET', 'HEAD', 'GET']) {
    const answer = await plain(link, { method });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('set-cookie'), null);
    assert.match(answer.headers.get('cache-control') ?? '', /no-store/);
  }
  const { page } = await stage.visitor();
  await openLink(page, link);
});

scenario('a link serves once', async (stage) => {
  const link = await connectLink();
  const first = await stage.visitor({ script: false });
  await first.page.goto(link);
  const pressed = await caught(first.page, () => control(first.page, 'Continue').click());
  await first.page.waitForURL(/\/portal/);

  const second = await stage.visitor();
  const answer = await second.page.goto(link);
  assert.equal(answer.status(), 410);
  await says(second.page, GONE);
  await says(second.page, WHAT_TO_DO);
  assert.equal((await second.context.cookies()).length, 0);
  const again = await resend(pressed, { headers: { cookie: undefined } });
  assert.equal(again.status, 410);
  assert.equal(again.headers.get('set-cookie'), null);
  assert.match(await again.text(), GONE);

  // Nor twice for the one who has spent it; that session goes on.
  assert.equal((await first.page.goto(link)).status(), 410);
  assert.equal((await first.page.goto(`${base}/portal`)).status(), 200);
});

scenario('the session is a cookie that scripts and other sites do not get', async (stage) => {
  const { page, context } = await stage.visitor();
  await openLink(page, await connectLink());
  const [cookie, ...others] = await context.cookies();
  assert.deepEqual(others, []);
  assert.equal(cookie.httpOnly, true);
  assert.equal(cookie.sameSite, 'Lax');
  assert.equal(cookie.secure, base.startsWith('https:'));
  assert.equal(await page.evaluate(() => document.cookie), '');
});

scenario('every page has the headers that guard it', async (stage) => {
  const { page } = await stage.visitor({ script: false });
  const link = await connectLink();
  const guarded = [await page.goto(link)];
  await control(page, 'Continue').click();
  await page.waitForURL(/\/portal/);
  for (const path of ['/portal', '/portal/connections/vapi', '/portal/security', '/portal/activity']) {
    guarded.push(await page.goto(base + path));
  }
  guarded.push(await page.goto(link));
  for (const answer of guarded) {
    const headers = await answer.allHeaders();
    const policy = headers['content-security-policy'] ?? '';
    assert.doesNotMatch(policy, /unsafe-/, answer.url());
    assert.match(policy, /default-src 'none'|default-src 'self'/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.match(policy, /form-action/);
    assert.match(policy, /base-uri/);
    assert.equal(headers['referrer-policy'], 'no-referrer');
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.ok(headers['permissions-policy']);
    assert.match(headers['cache-control'], /no-store/);
  }
});

scenario('one provider: its form opens at once', async (stage) => {
  const { page } = await stage.visitor();
  await openLink(page, await connectLink({ providers: ['vapi'] }));
  await page.waitForURL(address('vapi'));
});

scenario('a session for some providers opens no other', async (stage) => {
  await put('anthropic', { credentials: { apiKey: newKey() } });
  const { page } = await stage.visitor();
  await openLink(page, await connectLink({ providers: ['vapi', 'openai'] }));
  assert.deepEqual(await cards(page), ['openai', 'vapi']);
  for (const other of ['slack', 'anthropic', 'nonsense']) {
    assert.equal((await page.goto(address(other))).status(), 404, other);
    assert.doesNotMatch(await text(page), /Signing secret|Anthropic/);
  }

  // Not even by asking for it in the words of a form that it does have.
  await page.goto(address('openai'));
  await page.getByLabel('API key').and(page.locator('input')).fill(newKey());
  const sent = await caught(page, () => control(page, 'Connect').last().click());
  await shows(page, 'connected');
  const before = await connection('anthropic');
  const elsewhere = await resend({ ...sent, url: sent.url.replace('openai', 'anthropic') });
  assert.equal(elsewhere.status, 404);
  assert.deepEqual(await connection('anthropic'), before);
  const shown = await page.goto(`${base}/portal/activity`);
  assert.equal(shown.status(), 200);
  assert.doesNotMatch(await text(page), /anthropic/i, 'the activity of others');
});

scenario('two tabs with one session', async (stage) => {
  const { page: one, context } = await stage.visitor();
  await openLink(one, await connectLink({ of: `${org}-tabs`, providers: ['vapi', 'openai'] }));
  const two = await context.newPage();
  await two.goto(address('vapi'));
  await one.goto(address('vapi'));
  const [first, second] = [newKey(), newKey()];
  accepted(await connect(one, { [VAPI.public]: 'pk', [VAPI.private]: first }));
  await shows(one, 'connected');

  // The other still shows the empty form. What it sends counts, or is told to be late, but is not lost in silence.
  const status = await connect(two, { [VAPI.public]: 'pk', [VAPI.private]: second });
  const stored = (await credentials('vapi', `${org}-tabs`)).privateApiKey;
  assert.equal(stored, status < 400 ? second : first);
  assert.ok(status < 400 || [409, 412].includes(status), `${status}`);
  await two.goto(address('vapi'));
  await press(two, 'Test');
  await shows(two, 'connected');

  await press(one, 'Sign out');
  assert.ok([401, 403].includes(await press(two, 'Test')));
  await says(two, /signed out|session|new link/i);
});

scenario('two organizations see their own only', async (stage) => {
  const orgs = [`${org}-a`, `${org}-b`];
  const keys = [newKey(), newKey()];
  await put('vapi', { ...vapi(keys[0]), label: 'Label of A' }, orgs[0]);
  const visitors = [await stage.visitor(), await stage.visitor()];
  for (const [index, { page }] of visitors.entries()) {
    await openLink(page, await connectLink({ of: orgs[index], actor: { id: `user_${index}`, name: `Person ${index}` } }));
  }
  const [a, b] = visitors.map((visitor) => visitor.page);
  assert.equal((await card(a, 'vapi')).state, 'connected');
  assert.equal((await card(b, 'vapi')).state, 'not connected');
  await b.goto(address('vapi'));
  accepted(await connect(b, { [VAPI.public]: 'pk-b', [VAPI.private]: keys[1] }));
  await b.goto(`${base}/portal/activity`);
  await a.goto(address('vapi'));
  assert.match(await text(a), new RegExp(keys[0].slice(-4)));
  await a.goto(`${base}/portal/activity`);
  assert.equal((await credentials('vapi', orgs[0])).privateApiKey, keys[0]);
  assert.equal((await credentials('vapi', orgs[1])).privateApiKey, keys[1]);
  await visitors[1].neverSaw(...keys, 'Label of A', 'Person 0', orgs[0]);
  await visitors[0].neverSaw(...keys, 'pk-b', 'Person 1', orgs[1]);
});

scenario('signing out ends the session, not only the cookie', async (stage) => {
  const { page, context } = await stage.visitor();
  await openLink(page, await connectLink());
  const cookie = (await context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
  assert.equal((await plain(`${base}/portal`, { headers: { cookie } })).status, 200);
  await press(page, 'Sign out');
  assert.deepEqual(await context.cookies(), []);
  assert.equal((await plain(`${base}/portal`, { headers: { cookie } })).status, 401);
});

scenario('a form of another session, another origin or none is refused', async (stage) => {
  const own = `${org}-forms`;
  await put('vapi', vapi(newKey()), own);
  const [mine, theirs] = [await stage.visitor(), await stage.visitor()];
  for (const { page } of [mine, theirs]) await openLink(page, await connectLink({ of: own, providers: ['vapi'] }));
  const [fields, others] = [await hidden(mine.page, 'Test'), await hidden(theirs.page, 'Test')];
  const token = Object.keys(fields).find((name) => fields[name] !== others[name]);
  assert.ok(token, 'a hidden field differs from session to session');

  const sent = await caught(mine.page, () => control(mine.page, 'Test').last().click());
  const changed = (value) => {
    const form = new URLSearchParams(sent.form);
    form.delete(token);
    if (value !== undefined) form.set(token, value);
    return { form };
  };
  const time = async () => (await connection('vapi', own)).verified_at;
  const unharmed = async (what, changes) => {
    const before = await time();
    const answer = await resend(sent, changes);
    assert.equal(answer.status, 403, what);
    assert.equal(await time(), before, what);
  };
  await mine.page.waitForLoadState('networkidle');
  await unharmed('no token', changed());
  await unharmed('an empty token', changed(''));
  await unharmed("another session's token", changed(others[token]));
  await unharmed('a token with a letter changed', changed(`${fields[token].slice(0, -1)}~`));
  await unharmed('a foreign origin', { headers: { origin: 'https://evil.example' } });
  // Under no-referrer a browser's own form comes with `Origin: null` as well: what tells them apart is Sec-Fetch-Site.
  for (const site of ['cross-site', 'same-site']) {
    await unharmed(`an opaque origin, ${site}`, { headers: { origin: 'null', 'sec-fetch-site': site } });
  }

  // Unchanged it goes through, so it was refused for what was changed.
  const before = await time();
  assert.ok((await resend(sent)).status < 400);
  assert.ok((await time()) > before);
});

scenario('a link leads to nowhere that the operator did not allow', async () => {
  const session = { return_url: 'https://evil.example/' };
  const answer = await call('POST', `/v1/orgs/${org}/connect-sessions`, session);
  assert.ok([400, 422].includes(answer.status), `${answer.status}`);
});

scenario('a link that has expired', async (stage) => {
  await sleep(Math.max(0, shortLived.until - Date.now()));
  const visitor = await stage.visitor();
  const answer = await visitor.page.goto(shortLived.link);
  assert.equal(answer.status(), 410);
  await says(visitor.page, GONE);
  await says(visitor.page, WHAT_TO_DO);
  const posted = await plain(shortLived.link, { method: 'POST', headers: { origin: base } });
  assert.equal(posted.status, 410);
  assert.equal(posted.headers.get('set-cookie'), null);
});
