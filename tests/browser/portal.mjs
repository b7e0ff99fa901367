// The portal as a person finds their way in it: by what things are called, not by how they are marked up.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { base } from './api.mjs';
import { PATIENCE } from './harness.mjs';

export const VAPI = { public: 'Public API key', private: 'Private API key' };
export const address = (connection) => `${base}/portal/connections/${connection}`;

/** What a person can press that begins with this name: a button, a link, or what opens a part of the page. */
export function control(page, name) {
  const begins = new RegExp(`^\\W*${name}\\b`, 'i');
  const pressed = page.getByRole('button', { name: begins }).or(page.getByRole('link', { name: begins }));
  return pressed.or(page.locator('summary').filter({ hasText: begins })).filter({ visible: true });
}

/** The input with this label. */
export const field = (page, label) =>
  page.getByLabel(label).and(page.locator('input, textarea')).filter({ visible: true }).first();

/** The text of the page's main part. */
export const text = (page) => page.locator('main').innerText();

/** Waits until the page says so. */
export async function says(page, pattern) {
  let said;
  for (let waited = 0; waited < PATIENCE; waited += 100) {
    said = await text(page).catch(String); // it may be leaving
    if (pattern.test(said)) return said;
    await sleep(100);
  }
  return assert.fail(`${page.url()} does not say ${pattern}, but: ${said}`);
}

const STATES = { 'not connected': /not connected/i, 'needs reconnecting': /needs reconnecting/i, connected: /\bconnected/i };
const state = (said) => Object.keys(STATES).find((name) => STATES[name].test(said));

/** Waits until the page of a connection shows this state. */
export async function shows(page, expected) {
  const said = await says(page, STATES[expected]);
  assert.equal(state(said), expected, said);
}

/** The card of a connection on the page of integrations: its link, and the state that it shows. */
export async function card(page, connection) {
  const link = page.locator(`a[href$="/portal/connections/${connection}"]`).filter({ visible: true }).first();
  const around = page.locator('li, article').filter({ has: link }).last();
  const shown = (await around.count()) > 0 ? around : link;
  return { link, state: state(await shown.innerText()) };
}

/** The names of the connections that the page of integrations leads to. */
export async function cards(page) {
  const links = page.locator('main a[href*="/portal/connections/"]');
  const names = await links.evaluateAll((found) => found.map((link) => new URL(link.href).pathname.split('/').pop()));
  return [...new Set(names)].sort();
}

/** Opens a connect link as a person does, and comes out at the portal. */
export async function openLink(page, link, { script = true } = {}) {
  await page.goto(link, { waitUntil: 'commit' });
  if (!script) await control(page, 'Continue').click();
  await page.waitForURL(/\/portal(\/|$|\?)/);
}

/** Presses what sends a form, and returns the status of the answer to it once its page is there. */
export async function press(page, pressed) {
  const loaded = page.waitForEvent('load').catch(() => {}); // none if a script sends the form, or closes the window
  const sent = page.waitForResponse((response) => response.request().method() === 'POST');
  const target = typeof pressed === 'string' ? control(page, pressed).last() : pressed;
  const [answer] = await Promise.all([sent, target.click()]);
  if (answer.request().isNavigationRequest()) await loaded;
  else await page.waitForLoadState('networkidle').catch(() => {});
  return answer.status();
}

/** The answer is no refusal. */
export const accepted = (status) => assert.ok(status < 400, `the answer is ${status}`);

/** Fills in fields by their labels. */
export async function fill(page, values) {
  for (const [label, value] of Object.entries(values)) await field(page, label).fill(value);
}

/** Connects, and returns the status of the answer. */
export async function connect(page, values) {
  await fill(page, values);
  return press(page, 'Connect');
}

/** Puts other values in the place of those that are there. The form may have to be opened first. */
export async function replace(page, values) {
  if (!(await field(page, Object.keys(values)[0]).isVisible())) await control(page, 'Replace').first().click();
  await fill(page, values);
  return press(page, 'Replace');
}

/** Notes what the page says from now on, until it is left; returns what reads the notes. Playwright itself does not look at
 *  a page that is being left, which is just when a form says that it is at work. */
export async function notes(page) {
  await page.evaluate(() => {
    const note = () => {
      const notes = sessionStorage.getItem('notes') ?? '';
      sessionStorage.setItem('notes', `${notes}\n${document.body.innerText}`);
    };
    const all = { subtree: true, childList: true, characterData: true, attributes: true };
    new MutationObserver(note).observe(document.body, all);
  });
  return () => page.evaluate(() => sessionStorage.getItem('notes') ?? '');
}

/** Opens the confirmation, which says what will stop, and returns the button that means it. `unharmed` proves that the
 *  first press alone did nothing. */
export async function askToDisconnect(page, unharmed) {
  await control(page, 'Disconnect').first().click();
  await sleep(300); // a dialog opens, or a page is on its way
  await page.waitForLoadState();
  await unharmed();
  await says(page, /stop|no longer|can't|cannot/i);
  const dialog = page.getByRole('dialog').or(page.getByRole('alertdialog'));
  const place = (await dialog.filter({ visible: true }).count()) > 0 ? dialog.filter({ visible: true }) : page;
  return place.getByRole('button', { name: /^\W*(yes, )?disconnect\b/i }).filter({ visible: true }).last();
}
