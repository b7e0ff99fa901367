// What every page has to be, whatever is on it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { installed } from './harness.mjs';

const AXE = readFileSync(installed.resolve('axe-core/axe.min.js'), 'utf8');
const HEAVIEST = 50_000; // bytes over the wire, with an empty cache
const MOST_SHIFT = 0.01;

/** axe-core finds nothing, best practices included. The debugger puts it in, so the page's policy stays in force. */
export async function isAccessible(page, what) {
  await page.evaluate(AXE);
  const violations = await page.evaluate(async () => {
    for (const animation of document.getAnimations()) {
      // A colour on its way to another is neither; what never ends can't be finished.
      if (Number.isFinite(animation.effect.getComputedTiming().endTime)) animation.finish();
    }
    const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] });
    return violations.map(({ id, help, nodes }) => {
      const places = nodes.map((node) => `    ${node.target.join(' ')}: ${node.failureSummary.replaceAll('\n', ' ')}`);
      return [`  ${id}: ${help}`, ...places].join('\n');
    });
  });
  assert.equal(violations.length, 0, `${what} is not accessible:\n${violations.join('\n')}`);
}

/** Nothing moves while it loads. Only for a page that was just opened: what is pressed moves things, too. That is why
 *  `hadRecentInput` is not asked; besides, Chromium sets it after a change of the emulated screen. */
export async function isSteady(page, what) {
  await page.waitForLoadState('networkidle');
  const shifts = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const found = [];
        const keep = (list) => {
          for (const entry of list.getEntries()) {
            const moved = entry.sources.map((source) => source.node?.outerHTML?.slice(0, 80) ?? 'something that is gone');
            found.push({ value: entry.value, moved });
          }
        };
        const observer = new PerformanceObserver(keep);
        observer.observe({ type: 'layout-shift', buffered: true });
        // Two frames for what is under way, and a task for what is buffered.
        requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => resolve(found), 50)));
      }),
  );
  const sum = shifts.reduce((total, shift) => total + shift.value, 0);
  assert.ok(sum <= MOST_SHIFT, `${what} shifts by ${sum}: ${JSON.stringify(shifts)}`);
}

/** Nothing is cut off at the right. */
export async function fits(page, what) {
  const { wide, widest, culprits } = await page.evaluate(() => {
    const wide = document.documentElement.clientWidth;
    const beyond = [...document.body.querySelectorAll('*')].filter((it) => it.getBoundingClientRect().right > wide + 1);
    const culprits = beyond.map((it) => it.outerHTML.slice(0, 80));
    return { wide, widest: document.documentElement.scrollWidth, culprits: culprits.slice(-3) };
  });
  assert.ok(widest <= wide, `${what} is ${widest} px wide on a screen of ${wide}: ${culprits.join(' … ')}`);
}

/** Opens `url` with an empty cache and returns the answer, once it is known to weigh little. */
export async function openLight(page, url, what) {
  const requests = [];
  const keep = (request) => requests.push(request);
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Network.setCacheDisabled', { cacheDisabled: true });
  page.on('requestfinished', keep);
  const answer = await page.goto(url, { waitUntil: 'networkidle' });
  page.off('requestfinished', keep);
  await devtools.detach();
  const sizes = await Promise.all(
    requests.map(async (request) => {
      const { responseBodySize, responseHeadersSize } = await request.sizes();
      return { url: request.url(), bytes: responseBodySize + responseHeadersSize };
    }),
  );
  const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
  assert.ok(total > 0 && total < HEAVIEST, `${what} weighs ${total} bytes: ${JSON.stringify(sizes)}`);
  return answer;
}
