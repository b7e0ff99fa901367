// What an admin does in a minute, and everything that may follow; after each step the API says the same as the page.

import assert from 'node:assert/strict';
import { base, connection, connectLink, credentials, events, newKey } from './api.mjs';
import { scenario } from './harness.mjs';
import { accepted, address, askToDisconnect, card, connect, control, field, openLink, press, replace, says, shows, VAPI } from './portal.mjs';

scenario('an admin connects, tests, replaces, rolls back and disconnects', async (stage) => {
  const [first, second] = [newKey(), newKey()];
  const visitor = await stage.visitor();
  const { page } = visitor;
  const inUse = async () => (await credentials('vapi'))?.privateApiKey;

  await openLink(page, await connectLink({ providers: ['vapi', 'openai', 'telegram'] }));
  assert.equal(new URL(page.url()).pathname.replace(/\/$/, ''), '/portal');
  assert.equal((await card(page, 'vapi')).state, 'not connected');
  await (await card(page, 'vapi')).link.click();
  await page.waitForURL(address('vapi'));

  // The form says what it wants, and nothing remembers it.
  const secret = field(page, VAPI.private);
  assert.equal(await secret.getAttribute('type'), 'password');
  assert.equal(await secret.getAttribute('autocomplete'), 'off');
  assert.equal(await field(page, VAPI.public).getAttribute('autocomplete'), 'off');
  assert.ok(await page.locator('a[href="https://dashboard.vapi.ai/org/api-keys"]').first().isVisible());
  await secret.fill(first);
  await page.getByRole('button', { name: /^show/i }).first().click();
  assert.equal(await secret.getAttribute('type'), 'text');
  await page.getByRole('button', { name: /^hide/i }).first().click();
  assert.equal(await secret.getAttribute('type'), 'password');

  // Connect.
  accepted(await connect(page, { [VAPI.public]: 'pk-of-the-first', [VAPI.private]: first }));
  await shows(page, 'connected');
  const said = await says(page, /org-of-vapi/);
  assert.match(said, /Ada Lovelace/, 'by whom it was verified');
  assert.match(said, /pk-of-the-first/, 'what is no secret is shown');
  assert.ok(said.includes(first.slice(-4)), 'the hint');
  assert.ok((await page.locator('main time[datetime]').count()) > 0, 'when it was verified');
  await visitor.neverSaw(first);
  const created = await connection('vapi');
  assert.equal(created.status, 'active');
  assert.equal(created.fields.publicApiKey.value, 'pk-of-the-first');
  assert.ok(created.verified_at);
  assert.equal(await inUse(), first);

  // Test.
  accepted(await press(page, 'Test'));
  await shows(page, 'connected');
  await says(page, /org-of-vapi/);
  const tested = await connection('vapi');
  assert.equal(tested.version, created.version);
  assert.ok(tested.verified_at > created.verified_at);
  await visitor.neverSaw(first);

  // Replace.
  accepted(await replace(page, { [VAPI.public]: 'pk-of-the-second', [VAPI.private]: second }));
  await says(page, new RegExp(second.slice(-4)));
  await shows(page, 'connected');
  await visitor.neverSaw(first, second);
  assert.equal(await inUse(), second);
  assert.notEqual((await connection('vapi')).version, created.version);

  // Roll back.
  accepted(await press(page, 'Roll back'));
  await says(page, new RegExp(first.slice(-4)));
  await says(page, /pk-of-the-first/);
  await shows(page, 'connected');
  await visitor.neverSaw(first, second);
  assert.equal(await inUse(), first);

  // The list and the activity tell the same.
  await page.goto(`${base}/portal`);
  assert.equal((await card(page, 'vapi')).state, 'connected');
  assert.equal((await card(page, 'openai')).state, 'not connected');
  await page.goto(`${base}/portal/activity`);
  await says(page, /Ada Lovelace/);
  await says(page, /Vapi/i);
  assert.ok((await page.locator('main time[datetime]').count()) >= 4, 'every event has its time');
  await page.goto(`${base}/portal/security`);
  await says(page, /where keys are kept/i);
  await says(page, /your own vault.*this link is for OpenAI, Telegram, Vapi only/is); // the whole of it is in vault.mjs
  await says(page, /encrypted/i);
  await says(page, /who can read them/i);

  // Disconnect.
  await page.goto(address('vapi'));
  const button = await askToDisconnect(page, async () => assert.equal(await inUse(), first));
  accepted(await press(page, button));
  await shows(page, 'not connected');
  assert.equal((await connection('vapi')).status, 'disconnected');
  assert.equal(await inUse(), undefined);
  await page.goto(`${base}/portal`);
  assert.equal((await card(page, 'vapi')).state, 'not connected');

  // And once more, from there.
  await page.goto(address('vapi'));
  accepted(await connect(page, { [VAPI.public]: 'pk', [VAPI.private]: second }));
  await shows(page, 'connected');
  assert.equal(await inUse(), second);
  await visitor.neverSaw(first, second);

  // What was done was done by Ada.
  const done = (await events()).filter((event) => event.connection === 'vapi' && event.type !== 'credentials.read');
  const types = new Set(done.map((event) => event.type));
  for (const type of ['created', 'verified', 'updated', 'rolled_back', 'disconnected']) {
    assert.ok(types.has(`connection.${type}`), `${type}: ${[...types]}`);
  }
  for (const event of done) assert.equal(event.actor.name, 'Ada Lovelace', JSON.stringify(event));

  await press(page, 'Sign out');
  assert.equal((await page.goto(`${base}/portal`)).status(), 401);
  assert.equal(await control(page, 'Sign out').count(), 0);
});
