// With the keyboard alone: everything can be reached, in the order in which it stands, and one sees where one is.

import assert from 'node:assert/strict';
import { base, connection, connectLink, credentials, newKey, org } from './api.mjs';
import { scenario } from './harness.mjs';
import { address, card, field, openLink, says, shows, VAPI } from './portal.mjs';

/** What has the focus: whether one sees that, and where it stands after the one before it. */
const focused = (page) =>
  page.evaluate(() => {
    const it = document.activeElement;
    if (!it || it === document.body) {
      delete globalThis.focusedBefore; // out of the page, and in again at its start
      return null;
    }
    const before = globalThis.focusedBefore;
    globalThis.focusedBefore = it;
    const drawn = (style) => style.outlineStyle !== 'none' && Number.parseFloat(style.outlineWidth) > 0;
    const places = [getComputedStyle(it), getComputedStyle(it, '::before'), getComputedStyle(it, '::after')];
    const around = it.parentElement?.closest(':focus-within');
    const ringed = places.some(drawn) || getComputedStyle(it).boxShadow !== 'none' || drawn(getComputedStyle(around));
    const box = it.getBoundingClientRect();
    const inView = box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight;
    const order = before?.isConnected ? before.compareDocumentPosition(it) : Node.DOCUMENT_POSITION_FOLLOWING;
    return {
      what: it.outerHTML.slice(0, 120),
      tabIndex: it.tabIndex,
      visible: ringed && inView,
      // The first one follows the last.
      follows: Boolean(order & Node.DOCUMENT_POSITION_FOLLOWING) || it === document.querySelector('a, button, input, summary'),
    };
  });

/** Presses Tab until `target` has the focus. Anything passed on the way is looked at. */
async function tabTo(page, target, name) {
  const passed = [];
  for (let pressed = 0; pressed < 80; pressed += 1) {
    await page.keyboard.press('Tab');
    const stop = await focused(page);
    if (stop === null) continue; // the browser's own controls
    assert.ok(stop.visible, `one does not see that this has the focus: ${stop.what}`);
    assert.ok(stop.tabIndex <= 0, `it jumps the queue: ${stop.what}`);
    assert.ok(stop.follows, `it comes after what follows it: ${stop.what}`);
    passed.push(stop.what);
    if (await target.evaluate((wanted) => wanted === document.activeElement)) return;
  }
  assert.fail(`Tab does not lead to ${name}, but to:\n${passed.join('\n')}`);
}

/** Presses Enter on what sends a form, or on a link, and waits for the page that follows. */
async function enter(page, key = 'Enter') {
  const loaded = page.waitForEvent('load');
  await page.keyboard.press(key);
  await loaded;
}

const button = (page, name) => page.getByRole('button', { name }).filter({ visible: true });

scenario('the whole flow with the keyboard alone', async (stage) => {
  const [first, second] = [newKey(), newKey()];
  const { page } = await stage.visitor();
  await openLink(page, await connectLink({ providers: ['vapi', 'openai'] }));
  await page.waitForLoadState();

  // The first Tab of a page leads past what every page has.
  await page.keyboard.press('Tab');
  const skip = await page.evaluate(() => document.activeElement.getAttribute('href'));
  assert.match(skip ?? '', /#/, 'the first stop skips to the content');

  await tabTo(page, (await card(page, 'vapi')).link, 'the card of Vapi');
  await enter(page);
  assert.equal(page.url(), address('vapi'));

  await tabTo(page, field(page, VAPI.public), VAPI.public);
  await page.keyboard.type('pk-typed');
  await tabTo(page, field(page, VAPI.private), VAPI.private);
  await page.keyboard.type(first);
  const show = button(page, /^show/i).first();
  await tabTo(page, show, 'Show');
  await page.keyboard.press('Space');
  assert.equal(await field(page, VAPI.private).getAttribute('type'), 'text');
  await page.keyboard.press('Space');
  assert.equal(await field(page, VAPI.private).getAttribute('type'), 'password');
  await tabTo(page, button(page, /^connect\b/i), 'Connect');
  await enter(page);
  await shows(page, 'connected');
  assert.equal((await credentials('vapi')).privateApiKey, first);

  // After an action one is told of it where one is: the focus is on the message, or the message announces itself.
  const announced = page.locator('[role=status], [role=alert], [aria-live], :focus').filter({ visible: true });
  assert.ok((await announced.count()) > 0, 'the success is announced');

  await tabTo(page, button(page, /^test\b/i), 'Test');
  await enter(page, 'Space');
  await shows(page, 'connected');

  const opener = page.locator('button, a, summary').filter({ hasText: /^\W*replace\b/i }).filter({ visible: true }).first();
  if (!(await field(page, VAPI.public).isVisible())) {
    await tabTo(page, opener, 'Replace');
    await page.keyboard.press('Enter');
  }
  await field(page, VAPI.public).waitFor();
  await tabTo(page, field(page, VAPI.public), VAPI.public);
  await page.keyboard.press('ControlOrMeta+a');
  await page.keyboard.type('pk-again');
  await tabTo(page, field(page, VAPI.private), VAPI.private);
  await page.keyboard.type(second);
  await enter(page); // Enter in a field sends its form
  await shows(page, 'connected');
  assert.equal((await credentials('vapi')).privateApiKey, second);

  await tabTo(page, button(page, /^roll back/i), 'Roll back');
  await enter(page);
  assert.equal((await credentials('vapi')).privateApiKey, first);

  const disconnect = page.locator('button, a, summary').filter({ hasText: /^\W*disconnect\b/i }).filter({ visible: true });
  await tabTo(page, disconnect.first(), 'Disconnect');
  await page.keyboard.press('Enter');
  await says(page, /stop|no longer|can't|cannot/i);
  assert.equal((await connection('vapi')).status, 'active', 'it asks first');
  const sure = button(page, /^\W*(yes, )?disconnect\b/i).last();
  if (!(await sure.evaluate((wanted) => wanted === document.activeElement))) await tabTo(page, sure, 'the confirmation');
  await enter(page);
  await shows(page, 'not connected');
  assert.equal((await connection('vapi')).status, 'disconnected');

  await tabTo(page, button(page, /^sign out/i), 'Sign out');
  await enter(page);
});

scenario('the vault with the keyboard alone', async (stage) => {
  const { page } = await stage.visitor();
  await openLink(page, await connectLink({ of: `${org}-vault` }));
  await page.goto(`${base}/portal/security`);
  const url = field(page, 'Function URL');
  await tabTo(page, url, 'the function URL');
  await page.keyboard.type('https://vault.example/');
  await enter(page);
  const alert = page.getByRole('alert');
  assert.ok(await alert.evaluate((it) => it === document.activeElement), 'the focus is on the message');
  await tabTo(page, button(page, 'Generate token'), 'Generate token');
  await enter(page, 'Space');
  const told = page.getByRole('status').filter({ hasText: 'kbv_' });
  assert.ok(await told.evaluate((it) => it === document.activeElement), 'the focus is on the token');
  await tabTo(page, button(page, 'Copy AUTH_TOKEN'), 'Copy');
  await tabTo(page, button(page, 'Test'), 'Test');
  await enter(page);
  assert.match(await alert.innerText(), /no function URL yet/i);
  await tabTo(page, button(page, 'Enable'), 'Enable');
  await tabTo(page, page.locator('summary').filter({ hasText: 'Forget the vault' }), 'Forget the vault');
  await page.keyboard.press('Enter');
  await tabTo(page, button(page, 'Forget'), 'Forget');
  await enter(page);
  await says(page, /the vault is forgotten/i);
});
