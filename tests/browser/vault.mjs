// An organization keeps its keys in a function of its own: the whole way there and back, with the template running.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { base, call, connection, connectLink, events, newKey, org, put, setFunction, setting } from './api.mjs';
import { fits, isAccessible, isSteady } from './checks.mjs';
import { scenario, screenshot } from './harness.mjs';
import { accepted, address, askToDisconnect, card, control, field, openLink, press, says, shows, text } from './portal.mjs';

const SECURITY = `${base}/portal/security`;
const OPENAI = 'ai_provider_openai_api_key';
const SENDGRID = 'wf_conn_sendgrid_token';

/** Looks at what a page shows now, in both schemes and at both widths. */
async function look(page, name) {
  const size = page.viewportSize();
  for (const width of [size.width, 360]) {
    await page.setViewportSize({ ...size, width });
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      const what = `vault-${name}-${width}-${colorScheme}`;
      await screenshot(page, what);
      await fits(page, what);
      await isAccessible(page, what);
    }
  }
  await page.setViewportSize(size);
  await page.emulateMedia({ colorScheme: 'light' });
}

const button = (page, name) => page.getByRole('button', { name, exact: true });
const toVault = (page) => page.goto(SECURITY);

/** What the list says of a key. */
const standing = async (page, key) => {
  const row = page.locator('.keys li').filter({ has: page.getByText(key, { exact: true }) });
  return (await row.locator('.state').innerText()).trim();
};

/** Generates a token, and returns it once it is known to be shown this once. */
async function generate(page) {
  accepted(await press(page, button(page, 'Generate token')));
  const shown = page.getByText(/^kbv_[A-Za-z0-9]{43}$/);
  await shown.waitFor();
  return shown.innerText();
}

async function saveUrl(page, url) {
  await field(page, 'Function URL').fill(url);
  return press(page, button(page, 'Save'));
}

/** What the app's backend gets for a connection: the key, or the code of the refusal. */
async function read(name, of = org) {
  const { status, body } = await call('GET', `/v1/orgs/${of}/connections/${name}/credentials`);
  return status === 200 ? [body.source, body.credentials.apiKey] : body.code;
}

const alert = (page) => page.getByRole('alert').filter({ visible: true }).innerText();

scenario('an admin moves the keys into a vault of their own, and back', async (stage) => {
  const [stored, own, mail] = [newKey(), newKey(), newKey('SG.')];
  const visitor = await stage.visitor();
  const { page } = visitor;
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: base });
  const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
  await openLink(page, await connectLink());
  await page.getByRole('link', { name: 'Security', exact: true }).click();
  await page.waitForURL(SECURITY);
  await isSteady(page, 'the vault');
  await says(page, /no connection needs a key yet/i);
  await says(page, /where keys are kept/i);
  await look(page, 'empty');

  // The template, as it is.
  const [download] = await Promise.all([page.waitForEvent('download'), control(page, 'Download version').click()]);
  assert.equal(download.suggestedFilename(), 'secret-vault-lambda.mjs');
  const template = await readFile(await download.path(), 'utf8');
  assert.match(template, /^\/\/ keybroker secret vault, version (\d+\.\d+\.\d+)\n/);
  const [, version] = /version ([\d.]+)\n/.exec(template);
  await control(page, `Download version ${version}`).waitFor();

  // The names of the keys, once there is a connection that needs one.
  await put('openai', { credentials: { apiKey: stored } });
  await toVault(page);
  assert.equal(await standing(page, OPENAI), 'Not tested yet');
  await says(page, /4 KB.*4096 bytes/s);
  await button(page, `Copy ${OPENAI}`).click();
  assert.equal(await clipboard(), OPENAI);

  // Nothing to test or to enable yet.
  for (const name of ['Test', 'Enable']) {
    assert.equal(await press(page, button(page, name)), 409);
    assert.match(await alert(page), /no token yet/i);
  }

  // A URL of another kind is refused, and stays in its field.
  assert.equal(await saveUrl(page, 'https://vault.example/'), 422);
  assert.match(await alert(page), /can't be used.*on\.aws/s);
  assert.equal(await field(page, 'Function URL').inputValue(), 'https://vault.example/');
  await look(page, 'url-refused');
  accepted(await saveUrl(page, ` ${setting('KEYBROKER_TEST_VAULT')} `));
  await says(page, /the function URL is saved/i);
  assert.equal(await field(page, 'Function URL').inputValue(), setting('KEYBROKER_TEST_VAULT'));
  assert.equal(await press(page, button(page, 'Test')), 409);

  // The token, once.
  const token = await generate(page);
  await button(page, 'Copy AUTH_TOKEN').click();
  assert.equal(await clipboard(), token);
  await look(page, 'token');
  assert.equal((await page.reload()).request().method(), 'GET');
  assert.ok(!(await page.content()).includes(token), 'a token is shown once');
  await says(page, new RegExp(`ends with …${token.slice(-4)}`));

  // The function does not have it yet.
  accepted(await press(page, button(page, 'Test')));
  assert.match(await alert(page), /unauthorized.*AUTH_TOKEN.*401/is);
  await look(page, 'unauthorized');
  assert.equal(await press(page, button(page, 'Enable')), 502);
  assert.match(await alert(page), /unauthorized/i);
  assert.deepEqual(await read('openai'), ['managed', stored], 'nothing has changed');

  // Then it has it, but no key.
  await setFunction({ AUTH_TOKEN: token });
  accepted(await press(page, button(page, 'Test')));
  await says(page, new RegExp(`answered within \\d+ ms, but has no value for ${OPENAI}`));
  assert.equal(await standing(page, OPENAI), 'Missing');
  await look(page, 'key-missing');
  await setFunction({ AUTH_TOKEN: token, [OPENAI]: own });
  accepted(await press(page, button(page, 'Test')));
  await says(page, /has every key/i);
  assert.equal(await standing(page, OPENAI), 'In the function');
  await says(page, new RegExp(`take ${10 + 47 + OPENAI.length + own.length} of them`));

  accepted(await press(page, button(page, 'Enable')));
  await says(page, /the vault is enabled/i);
  await says(page, /every reading fails until/i);
  assert.deepEqual(await read('openai'), ['customer_vault', own]);
  await look(page, 'enabled');

  // A connection says where its keys are, and can be tested.
  await page.goto(address('openai'));
  await shows(page, 'connected');
  assert.equal(await standing(page, OPENAI), 'In the function');
  assert.equal(await page.locator('input[type=password]').count(), 0);
  assert.equal(await button(page, 'Roll back').count(), 0);
  accepted(await press(page, button(page, 'Test')));
  await says(page, /the key works/i);
  await look(page, 'connection');

  // Another account is connected without entering a key.
  await page.goto(address('sendgrid'));
  await says(page, /none is entered here/i);
  assert.equal(await page.locator('input[type=password]').count(), 0);
  await field(page, 'Name for this account').fill('Newsletter');
  accepted(await press(page, button(page, 'Connect')));
  await says(page, /SendGrid is connected/);
  assert.equal(await standing(page, SENDGRID), 'Not tested yet');
  assert.equal((await connection('sendgrid')).source, 'customer_vault');
  assert.equal(await read('sendgrid'), 'vault_key_missing');
  await look(page, 'connection-registered');
  assert.equal(await press(page, button(page, 'Test')), 502);
  assert.match(await alert(page), new RegExp(`key not found.*${SENDGRID}`, 'is'));
  await toVault(page);
  accepted(await press(page, button(page, 'Test')));
  await page.goto(`${base}/portal`);
  assert.match(await page.locator('li.card', { has: (await card(page, 'sendgrid')).link }).innerText(), /SendGrid/);
  await says(page, /needs a key/i);
  await setFunction({ AUTH_TOKEN: token, [OPENAI]: own, [SENDGRID]: mail });
  assert.deepEqual(await read('sendgrid'), ['customer_vault', mail]);
  await page.goto(address('sendgrid'));
  assert.equal(await standing(page, SENDGRID), 'Missing');
  accepted(await press(page, button(page, 'Test')));
  assert.equal(await standing(page, SENDGRID), 'In the function', 'the provider has just taken it');
  const sure = await askToDisconnect(page, async () => assert.deepEqual(await read('sendgrid'), ['customer_vault', mail]));
  accepted(await press(page, sure));
  await shows(page, 'not connected');

  // A new token shuts keybroker out until the function has it.
  await toVault(page);
  const second = await generate(page);
  await says(page, /until the function has it, every reading fails/i);
  assert.equal(await read('openai'), 'vault_unauthorized');
  await setFunction({ AUTH_TOKEN: second, [OPENAI]: own });
  assert.deepEqual(await read('openai'), ['customer_vault', own]);

  // Back to what was stored before.
  await toVault(page);
  accepted(await press(page, button(page, 'Disable')));
  await says(page, /the vault is disabled/i);
  assert.deepEqual(await read('openai'), ['managed', stored]);
  await control(page, 'Forget the vault').click();
  accepted(await press(page, button(page, 'Forget')));
  await says(page, /the vault is forgotten/i);
  assert.equal((await call('GET', `/v1/orgs/${org}/vault`)).status, 404);

  await visitor.neverSaw(stored, own, mail);
  const done = new Set((await events()).filter((event) => event.actor.name === 'Ada Lovelace').map((event) => event.type));
  for (const type of ['token_created', 'tested', 'enabled', 'disabled']) assert.ok(done.has(`vault.${type}`), type);
  await page.goto(`${base}/portal/activity`);
  await says(page, /Ada Lovelace turned on your own vault/);
});

scenario('the vault without JavaScript', async (stage) => {
  const of = `${org}-plain`;
  const key = newKey();
  const { page } = await stage.visitor({ script: false, phone: true });
  await openLink(page, await connectLink({ of }), { script: false });
  await toVault(page);
  assert.equal(await page.getByRole('button', { name: /^copy/i }).filter({ visible: true }).count(), 0, 'no dead button');
  accepted(await saveUrl(page, setting('KEYBROKER_TEST_VAULT')));
  const token = await generate(page);

  // Loading the answer anew sends its form once more, and no second token comes of it.
  const [again] = await Promise.all([page.waitForResponse((answer) => answer.request().isNavigationRequest()), page.reload()]);
  assert.equal(again.status(), 412);
  assert.ok(!(await page.content()).includes('kbv_'), 'a token is shown once');
  await says(page, /a token was generated already/i);

  await setFunction({ AUTH_TOKEN: token, [OPENAI]: key });
  accepted(await press(page, button(page, 'Enable')));
  await page.goto(address('openai'));
  accepted(await press(page, button(page, 'Connect')));
  await says(page, new RegExp(OPENAI));
  assert.deepEqual(await read('openai', of), ['customer_vault', key]);
  await toVault(page);
  accepted(await press(page, button(page, 'Disable')));
  assert.equal(await read('openai', of), 'not_found', 'nothing was ever stored');
});

scenario('a link for one provider does not lead to the vault', async (stage) => {
  const { page } = await stage.visitor();
  await openLink(page, await connectLink({ of: `${org}-limited`, providers: ['vapi', 'openai'] }));
  await toVault(page);
  assert.match(await text(page), /this link is for OpenAI, Vapi only/i);
  for (const name of ['Generate token', 'Test', 'Enable', 'Save']) assert.equal(await button(page, name).count(), 0, name);
  assert.equal((await page.request.get(`${SECURITY}/secret-vault-lambda.mjs`)).status(), 404);
  const csrf = await page.locator('input[name=csrf]').first().inputValue();
  for (const deed of ['url', 'token', 'test', 'enable', 'disable', 'forget']) {
    const form = { csrf, url: setting('KEYBROKER_TEST_VAULT') };
    const answer = await page.request.post(`${SECURITY}/vault/${deed}`, { form, maxRedirects: 0 });
    assert.equal(answer.status(), 404, deed);
  }
  assert.equal((await call('GET', `/v1/orgs/${org}-limited/vault`)).status, 404);
});
