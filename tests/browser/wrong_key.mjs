// What an admin is told when it does not work, and what they need not type again.

import assert from 'node:assert/strict';
import { connection, connectLink, credentials, newKey, org, treat } from './api.mjs';
import { scenario } from './harness.mjs';
import { accepted, address, connect, control, field, fill, notes, openLink, press, replace, shows, VAPI } from './portal.mjs';

/** Someone before the form of a provider, in an organization without anything. */
async function atTheForm(stage, provider = 'vapi') {
  const of = `${org}-${newKey('')}`;
  const visitor = await stage.visitor();
  await openLink(visitor.page, await connectLink({ of, providers: [provider] }));
  await control(visitor.page, 'Connect').last().waitFor();
  return { of, visitor, page: visitor.page };
}

/** The message that says what failed, once it is known to be read out and in view. */
async function alert(page) {
  const message = page.getByRole('alert').filter({ visible: true }).first();
  await message.waitFor();
  const hasFocus = await message.evaluate((it) => it.contains(document.activeElement) || it === document.activeElement);
  assert.ok(hasFocus, 'the focus is on the message');
  return message.innerText();
}

async function keepsWhatIsNoSecret(page, publicKey) {
  assert.equal(await field(page, VAPI.public).inputValue(), publicKey);
  assert.equal(await field(page, VAPI.private).inputValue(), '');
}

/** Sends the form past the browser's own checks and the page's, as someone without them would. */
async function connectUnchecked(page, values) {
  await fill(page, values);
  const submit = control(page, 'Connect').last();
  return press(page, { click: () => submit.evaluate((button) => HTMLFormElement.prototype.submit.call(button.form)) });
}

scenario('a key that the provider refuses', async (stage) => {
  const key = newKey();
  await treat(key, 'refuse');
  const { of, visitor, page } = await atTheForm(stage);
  assert.equal(await connect(page, { [VAPI.public]: 'pk-kept', [VAPI.private]: key }), 422);
  assert.match(await alert(page), /Vapi\b.*refuse/is);
  await keepsWhatIsNoSecret(page, 'pk-kept');
  await visitor.neverSaw(key);
  assert.equal(await connection('vapi', of), null, 'nothing was stored');

  // The right one then goes through, without the rest being typed again.
  const right = newKey();
  accepted(await connect(page, { [VAPI.private]: right }));
  await shows(page, 'connected');
  assert.equal(await page.getByRole('alert').filter({ visible: true }).count(), 0);
  const stored = { publicApiKey: 'pk-kept', privateApiKey: right };
  assert.deepEqual(await credentials('vapi', of), stored);

  // Nor does a wrong one harm what is there.
  assert.equal(await replace(page, { [VAPI.public]: 'pk-kept', [VAPI.private]: key }), 422);
  assert.match(await alert(page), /Vapi\b.*refuse/is);
  assert.deepEqual(await credentials('vapi', of), stored);

  // The key that is stored dies: a test says so, and so does the state.
  await treat(right, 'refuse');
  await page.goto(address('vapi'));
  await press(page, 'Test');
  await shows(page, 'needs reconnecting');
  assert.equal((await connection('vapi', of)).status, 'needs_reconnect');
  await visitor.neverSaw(key, right);
});

for (const how of ['silence', 'status 503']) {
  scenario(`a provider that answers with ${how}`, async (stage) => {
    const key = newKey();
    await treat(key, how);
    const { of, visitor, page } = await atTheForm(stage);
    assert.equal(await connect(page, { [VAPI.public]: 'pk-kept', [VAPI.private]: key }), 502);
    const message = await alert(page);
    assert.match(message, /Vapi/);
    assert.match(message, /reach|answer|again|later/i);
    assert.doesNotMatch(message, /refuse/i, 'the key is not to blame');
    assert.doesNotMatch(message, /verify=false/, 'words for a person, not for a program');
    await keepsWhatIsNoSecret(page, 'pk-kept');
    await visitor.neverSaw(key);
    assert.equal(await connection('vapi', of), null);
  });
}

scenario('a key that takes its time', async (stage) => {
  const key = newKey();
  await treat(key, 'slow 1200');
  const { page } = await atTheForm(stage);
  const noted = await notes(page);
  accepted(await connect(page, { [VAPI.public]: 'pk', [VAPI.private]: key }));
  assert.match(await noted(), /checking the key with Vapi/i);
  await shows(page, 'connected');
});

const WRONG = [
  ['has a space', 'sk-with a space', /without spaces/i],
  ['is empty', '', /required|missing|empty|fill|enter|need/i],
];
for (const [what, value, why] of WRONG) {
  scenario(`a key that ${what}`, async (stage) => {
    const { of, page } = await atTheForm(stage, 'openai');
    const input = field(page, 'API key');

    // The browser says so before anything is sent.
    await input.fill(value);
    await control(page, 'Connect').last().click();
    await page.waitForTimeout(300);
    const complaint = await input.evaluate((it) => {
      const ids = `${it.getAttribute('aria-describedby') ?? ''} ${it.getAttribute('aria-errormessage') ?? ''}`.split(/\s+/);
      const words = ids.map((id) => document.getElementById(id)?.textContent ?? '').join(' ');
      const invalid = !it.validity.valid || it.getAttribute('aria-invalid') === 'true';
      return { invalid, words: `${it.validationMessage} ${it.title} ${words}` };
    });
    assert.ok(complaint.invalid, 'the field is marked');
    assert.match(complaint.words, why);
    assert.equal(await connection('openai', of), null);

    // And the server does where no browser did, at the field.
    assert.equal(await connectUnchecked(page, { 'API key': value }), 422);
    assert.match(await alert(page), why);
    assert.equal(await field(page, 'API key').getAttribute('aria-invalid'), 'true');
    assert.equal(await field(page, 'API key').inputValue(), '');
    assert.equal(await connection('openai', of), null);
  });
}
