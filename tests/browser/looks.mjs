// Every page, in light and dark, on a desktop and a phone, in English and German: accessible, steady, light, and drawn
// into target/screenshots for a person to look at.

import assert from 'node:assert/strict';
import { suite } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { base, connection, connectLink, newKey, org, put, report, treat } from './api.mjs';
import { fits, isAccessible, isSteady, openLight } from './checks.mjs';
import { scenario, screenshot, screenshotAtOnce } from './harness.mjs';
import { address, connect, control, field, fill, openLink, VAPI } from './portal.mjs';

const dead = newKey();
const wrong = newKey();
await treat(wrong, 'refuse');

/** An organization whose integrations are in every state. */
async function furnish() {
  await put('vapi', { credentials: { publicApiKey: 'pk-5d2b1e0a', privateApiKey: newKey() }, label: 'Main account' });
  await put('vapi', { credentials: { publicApiKey: 'pk-5d2b1e0b', privateApiKey: newKey() } });
  await put('slack', { credentials: { botToken: newKey('xoxb-'), signingSecret: newKey() } });
  await put('openai', { credentials: { apiKey: dead } });
  await treat(dead, 'refuse');
  await report('openai', 401);
  for (let asked = 0; (await connection('openai')).status !== 'needs_reconnect'; asked += 1) {
    assert.ok(asked < 300, 'the dead key is noticed');
    await sleep(100);
  }
}
await furnish();

// By its button's form: words differ from language to language.
const submit = (page) => page.locator('form:has(input[type=password]) button:not([type=button])').filter({ visible: true }).last();
const post = (page, act) => Promise.all([page.waitForEvent('load'), act()]);

/** The pages that stand at an address of their own, and the status that each answers with. */
const PAGES = {
  integrations: [`${base}/portal`, 200],
  'connection-new': [address('telegram'), 200],
  'connection-with-many-fields': [address('smtp'), 200],
  'connection-connected': [address('vapi'), 200],
  'connection-needs-reconnecting': [address('openai'), 200],
  'connection-unknown': [address('nonsense'), 404],
  security: [`${base}/portal/security`, 200],
  activity: [`${base}/portal/activity`, 200],
};

/** Looks at what a page shows now, in both schemes. */
async function look(page, name, suffix) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    const what = `${name}-${suffix}-${colorScheme}`;
    await screenshot(page, what);
    await fits(page, what);
    await isAccessible(page, what);
  }
  await page.emulateMedia({ colorScheme: 'light' });
}

async function lookAtAll(visitor, suffix, language) {
  const { page, context } = visitor;
  const shown = async (name) => {
    assert.equal((await page.getAttribute('html', 'lang')).slice(0, 2), language, name);
    assert.notEqual(await page.title(), '', name);
    assert.equal(await page.locator('h1').count(), 1, name);
    await look(page, name, suffix);
  };

  // The link's own page, held before its script has pressed the button.
  await context.route(/\/connect\//, (route) => (route.request().method() === 'POST' ? route.abort('aborted') : route.continue()));
  const link = await connectLink();
  await openLight(page, link, 'link');
  await isSteady(page, 'link');
  await shown('link');
  await context.unroute(/\/connect\//);
  await openLink(page, link);

  for (const [name, [url, status]] of Object.entries({ ...PAGES, 'link-spent': [link, 410] })) {
    const answer = await openLight(page, url, name);
    assert.equal(answer.status(), status, name);
    await isSteady(page, `${name}-${suffix}`);
    await shown(name);
  }

  // A key that was refused.
  await page.goto(address('grok'));
  await page.locator('input[type=password]').fill(wrong);
  await post(page, () => submit(page).click());
  await page.getByRole('alert').waitFor();
  await shown('connection-refused');

  // The parts of a page that open: the form that replaces, and what asks before it disconnects.
  await page.goto(address('vapi'));
  const parts = await page.locator('main details:not([open]) > summary').filter({ visible: true }).count();
  for (let part = 0; part < parts; part += 1) {
    await page.goto(address('vapi'));
    await page.locator('main details:not([open]) > summary').filter({ visible: true }).nth(part).click();
    await shown(`connection-opened-${part + 1}`);
  }
  const dialogs = await page.locator('main [aria-haspopup=dialog]').filter({ visible: true }).count();
  for (let dialog = 0; dialog < dialogs; dialog += 1) {
    await page.goto(address('vapi'));
    await page.locator('main [aria-haspopup=dialog]').filter({ visible: true }).nth(dialog).click();
    await shown(`connection-dialog-${dialog + 1}`);
  }

  // Nobody is signed in.
  await context.clearCookies();
  assert.equal((await openLight(page, `${base}/portal`, 'signed-out')).status(), 401);
  await shown('signed-out');
}

// Two at a time: what takes long is drawing, and each has a browser window of its own.
suite('every page', { concurrency: 2 }, () => {
  for (const language of ['en', 'de']) {
    for (const phone of [false, true]) {
      const suffix = `${phone ? 'phone' : 'desktop'}-${language}`;
      scenario(
        `every page, ${suffix}`,
        async (stage) => {
          const locale = { en: 'en-GB', de: 'de-DE' }[language];
          await lookAtAll(await stage.visitor({ phone, language: locale }), suffix, language);
        },
        { timeout: 600_000 },
      );
    }
  }
});

scenario('the first page of an organization without anything, and what follows success', async (stage) => {
  for (const phone of [false, true]) {
    const suffix = phone ? 'phone-en' : 'desktop-en';
    const { page } = await stage.visitor({ phone });
    const of = `${org}-${suffix}`;
    await openLink(page, await connectLink({ of, providers: ['vapi', 'openai'] }));
    await page.waitForLoadState();
    await look(page, 'integrations-empty', suffix);
    await page.goto(`${base}/portal/activity`);
    await look(page, 'activity-empty', suffix);
    await page.goto(address('vapi'));
    // A wrong format, complained of while it is typed.
    await fill(page, { [VAPI.public]: 'pk-5d2b1e0a', [VAPI.private]: 'with a space' });
    await field(page, VAPI.private).blur();
    await sleep(200);
    await look(page, 'connection-wrong-format', suffix);
    // And by the server, for someone whose browser did not.
    await post(page, () => submit(page).evaluate((button) => HTMLFormElement.prototype.submit.call(button.form)));
    await page.getByRole('alert').waitFor();
    await look(page, 'connection-refused-format', suffix);
    const key = newKey();
    await treat(key, 'slow 1500');
    const connected = connect(page, { [VAPI.private]: key });
    await sleep(700);
    await screenshotAtOnce(page, `connection-checking-${suffix}`);
    await connected;
    await control(page, 'Test').first().waitFor();
    await look(page, 'connection-just-connected', suffix);
  }
});
