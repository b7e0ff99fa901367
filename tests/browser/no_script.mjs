// The whole flow without JavaScript, on a phone.

import assert from 'node:assert/strict';
import { base, connection, connectLink, credentials, newKey, treat } from './api.mjs';
import { scenario } from './harness.mjs';
import { accepted, address, askToDisconnect, card, connect, field, openLink, press, replace, says, shows, VAPI } from './portal.mjs';

scenario('everything works without JavaScript', async (stage) => {
  const [first, second, wrong] = [newKey(), newKey(), newKey()];
  await treat(wrong, 'refuse');
  const visitor = await stage.visitor({ script: false, phone: true });
  const { page } = visitor;
  const inUse = async () => (await credentials('vapi'))?.privateApiKey;
  await openLink(page, await connectLink({ providers: ['vapi', 'openai'] }), { script: false });
  await (await card(page, 'vapi')).link.click();
  await page.waitForURL(address('vapi'));
  assert.equal(await page.getByRole('button', { name: /^show/i }).filter({ visible: true }).count(), 0, 'no dead button');

  assert.equal(await connect(page, { [VAPI.public]: 'pk-kept', [VAPI.private]: wrong }), 422);
  assert.match(await page.getByRole('alert').innerText(), /Vapi\b.*refuse/is);
  assert.equal(await field(page, VAPI.public).inputValue(), 'pk-kept');
  assert.equal(await field(page, VAPI.private).inputValue(), '');
  assert.equal(await connection('vapi'), null);

  accepted(await connect(page, { [VAPI.private]: first }));
  await shows(page, 'connected');
  await says(page, /org-of-vapi/);
  assert.equal(await inUse(), first);

  const { verified_at: before } = await connection('vapi');
  accepted(await press(page, 'Test'));
  await shows(page, 'connected');
  assert.ok((await connection('vapi')).verified_at > before);

  accepted(await replace(page, { [VAPI.public]: 'pk-new', [VAPI.private]: second }));
  await says(page, new RegExp(second.slice(-4)));
  assert.equal(await inUse(), second);

  accepted(await press(page, 'Roll back'));
  await says(page, new RegExp(first.slice(-4)));
  assert.equal(await inUse(), first);

  // What was sent is not sent again by a reload: each answer was a redirect.
  const { version } = await connection('vapi');
  await page.reload();
  await shows(page, 'connected');
  assert.equal((await connection('vapi')).version, version);

  const button = await askToDisconnect(page, async () => assert.equal(await inUse(), first));
  accepted(await press(page, button));
  await shows(page, 'not connected');
  assert.equal((await connection('vapi')).status, 'disconnected');

  for (const path of ['/portal', '/portal/activity', '/portal/security']) {
    assert.equal((await page.goto(base + path)).status(), 200);
  }
  await visitor.neverSaw(first, second, wrong);
  await press(page, 'Sign out');
  assert.equal((await page.goto(`${base}/portal`)).status(), 401);
});
