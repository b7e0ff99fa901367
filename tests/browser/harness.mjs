// Runs scenarios in a real Chromium and watches what it does meanwhile.
//
// A scenario is a file of its own beside this one, so that they can run in parallel; tests/it/portal.rs starts each with
// the environment that it needs: `cargo test --test it portal::flow` acts one. To add one: a file that calls `scenario`, and
// a test of its name there. Pictures, and what the pages of a failed scenario held, are in target/screenshots.

import assert from 'node:assert/strict';
import { accessSync, constants, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, delimiter, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { base } from './api.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** Finds the modules where tests/services/install.py puts them. */
export const installed = createRequire(join(root, 'target/services/browser/package.json'));

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** Milliseconds for one thing to appear, on a machine that has much else to do. */
export const PATIENCE = 30_000;
export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 360, height: 740 };

/** The same places as in tests/services/install.py. */
function chromiumPath() {
  const named = process.env.KEYBROKER_TEST_CHROMIUM;
  if (named) return named;
  for (const name of ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']) {
    for (const folder of (process.env.PATH ?? '').split(delimiter)) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {
        // not there
      }
    }
  }
  throw new Error('no Chromium on the PATH: tests/services/install.py installs one, KEYBROKER_TEST_CHROMIUM names one');
}

let launched;
function browser() {
  launched ??= installed('playwright-core').chromium.launch({ executablePath: chromiumPath(), args: FLAGS });
  return launched;
}
after(async () => (await launched)?.close());

/** A folder for pictures, which git ignores. */
function picture(name) {
  const folder = process.env.KEYBROKER_TEST_SCREENSHOTS ?? join(root, 'target/screenshots');
  mkdirSync(folder, { recursive: true });
  return join(folder, name);
}

export const screenshot = (page, name) =>
  page.screenshot({ path: picture(`${name}.png`), fullPage: true, animations: 'disabled', caret: 'hide' });

/** Of a page that is being left: Playwright would wait for the one that follows. */
export async function screenshotAtOnce(page, name) {
  const devtools = await page.context().newCDPSession(page);
  const { data } = await devtools.send('Page.captureScreenshot', { format: 'png' });
  writeFileSync(picture(`${name}.png`), data, 'base64');
  await devtools.detach();
}

/** One person with a browser of their own: nothing is shared between two of them. */
class Visitor {
  faults = [];
  /** Origins besides keybroker's that may be asked. */
  allowed;
  #bodies = [];

  constructor(context, allowed) {
    this.context = context;
    this.allowed = new Set([base, ...allowed]);
    context.on('weberror', (error) => this.faults.push(`uncaught: ${error.error()}`));
    context.on('console', (message) => this.#heard(message));
    context.on('request', (request) => this.#asked(request));
    context.on('response', (response) => this.#answered(response));
  }

  /** Where scripts run, the page tells us of what its policy blocked even if the console does not. */
  async watchPolicy() {
    await this.context.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) =>
        console.error(`policy: ${event.effectiveDirective} blocked ${event.blockedURI} at ${event.sourceFile}`),
      );
    });
  }

  #heard(message) {
    // The status of a page is its scenario's to judge; that of what it loads is looked at in #answered.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      this.faults.push(`console: ${message.text()}`);
    }
  }

  #asked(request) {
    const url = new URL(request.url());
    if (!['data:', 'blob:', 'about:'].includes(url.protocol) && !this.allowed.has(url.origin)) {
      this.faults.push(`foreign origin: ${request.method()} ${url.origin}${url.pathname}`);
    }
  }

  #answered(response) {
    const kind = response.request().resourceType();
    if (response.status() >= 400 && !['document', 'fetch', 'xhr'].includes(kind)) {
      this.faults.push(`${kind} ${response.url()}: ${response.status()}`);
    }
    if (['document', 'script', 'fetch', 'xhr'].includes(kind)) {
      // The browser forgets a body when it leaves the page, and a redirect has none.
      this.#bodies.push(response.text().catch(() => ''));
    }
  }

  /** Every text that this person was sent, and what their pages hold now. */
  async everything() {
    const pages = this.context.pages().map((page) => page.content());
    return (await Promise.all([...this.#bodies, ...pages])).join('\n');
  }

  /** None of these secrets was ever sent to this person, nor is in a page. */
  async neverSaw(...secrets) {
    const text = await this.everything();
    for (const secret of secrets) assert.ok(!text.includes(secret), `a page holds the secret ${secret}`);
  }
}

class Stage {
  visitors = [];
  endings = [];

  /** A person with the settings `dark`, `phone`, `script: false`, `language: 'de-DE'`, `foreign: [origin]`. */
  async visitor({ dark = false, phone = false, script = true, language = 'en-GB', foreign = [] } = {}) {
    const context = await (await browser()).newContext({
      colorScheme: dark ? 'dark' : 'light',
      viewport: phone ? PHONE : DESKTOP,
      isMobile: phone,
      hasTouch: phone,
      javaScriptEnabled: script,
      locale: language,
      timezoneId: 'Europe/Berlin',
    });
    context.setDefaultTimeout(PATIENCE);
    const visitor = new Visitor(context, foreign);
    if (script) await visitor.watchPolicy();
    visitor.page = await context.newPage();
    this.visitors.push(visitor);
    return visitor;
  }

  /** Has `end` called when the scenario is over, however it ends. */
  atEnd(end) {
    this.endings.push(end);
  }

  async keep(name) {
    const pages = this.visitors.flatMap((visitor) => visitor.context.pages());
    for (const [number, page] of pages.entries()) {
      const file = `failed-${basename(process.argv[1], '.mjs')}-${name.replaceAll(/\W+/g, '-')}-${number}`;
      await screenshot(page, file).catch(() => {});
      writeFileSync(picture(`${file}.html`), `<!-- ${page.url()} -->\n${await page.content().catch(String)}`);
    }
    return this.visitors.flatMap((visitor) => visitor.faults);
  }

  async close() {
    for (const visitor of this.visitors) await visitor.context.close();
    for (const end of this.endings) await end();
  }
}

/** One test. `act(stage)` must leave no visitor with a fault; what it saw when it failed is kept beside the screenshots. */
export function scenario(name, act, { timeout = 300_000 } = {}) {
  test(name, { timeout }, async () => {
    const stage = new Stage();
    try {
      await act(stage);
      for (const visitor of stage.visitors) assert.deepEqual(visitor.faults, [], 'a page did what it should not');
    } catch (error) {
      const faults = await stage.keep(name);
      if (faults.length > 0) error.message += `\nmeanwhile:\n  ${faults.join('\n  ')}`;
      throw error;
    } finally {
      await stage.close();
    }
  });
}
