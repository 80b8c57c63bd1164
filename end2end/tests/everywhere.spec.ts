// What must hold on every page and in every state: support/states.ts visits them.

import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';

import { tour } from '../support/states';
import { expect, test } from '../support/test';

test.describe.configure({ timeout: 600_000 });

const SCHEMES = ['light', 'dark'] as const;

/** Switches the media of a page, and waits until all colour transitions have finished. */
async function shown(page: Page, media: { media?: 'print' | null; colorScheme?: 'light' | 'dark' }): Promise<void> {
  await page.emulateMedia(media);
  const { media: kind, colorScheme } = media;
  const queries = [...(kind ? [kind] : []), ...(colorScheme ? [`(prefers-color-scheme: ${colorScheme})`] : [])];
  await page.waitForFunction(
    (queries) => queries.every((query) => matchMedia(query).matches) && document.getAnimations().every(({ playState }) => playState === 'finished'),
    queries,
  );
}

test('axe finds nothing, light and dark', async ({ natter, visitor, person, again, provokes }) => {
  await tour({ natter, visitor, person, again, provokes }, { reducedMotion: 'reduce' }, async (page, what) => {
    for (const colorScheme of SCHEMES) {
      await shown(page, { colorScheme });
      const { violations } = await new AxeBuilder({ page }).analyze();
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html}\n${failureSummary}`).join('\n')}`);
      expect.soft(found, `${what}, ${colorScheme}`).toEqual([]);
    }
  });
});

/** What a keyboard should reach. */
const USABLE = 'a[href], button:not(:disabled), input, textarea, [tabindex="0"]';

/** Tabs once around, and returns what was not reached, shows no focus, or is covered while it has it. */
async function walk(page: Page): Promise<string[]> {
  const wrong: string[] = [];
  await page.evaluate((usable) => {
    (document.activeElement as HTMLElement | null)?.blur();
    getSelection()?.removeAllRanges();
    const all = [...document.querySelectorAll<HTMLElement>(usable)].filter((element) => element.checkVisibility({ visibilityProperty: true }));
    const unmet = new Set(all);
    (window as unknown as { unmet: Set<HTMLElement> }).unmet = unmet;
    // Also what the focus goes on to when the element that has it disappears.
    addEventListener('focusin', ({ target }) => unmet.delete(target as HTMLElement));
  }, USABLE);
  const many = await page.evaluate(() => (window as unknown as { unmet: Set<HTMLElement> }).unmet.size);
  for (let step = 0; step < many + 3; step++) {
    await page.keyboard.press('Tab');
    wrong.push(
      ...(await page.evaluate(async () => {
        const element = document.activeElement as HTMLElement;
        if (element === document.body) return [];
        const name = element.outerHTML.slice(0, 90);
        const wrong: string[] = [];
        const { outlineStyle, outlineWidth } = getComputedStyle(element);
        if (outlineStyle === 'none' || parseFloat(outlineWidth) < 2) wrong.push(`the focus does not show: ${name}`);
        const met = () => {
          const { left, top, right, bottom } = element.getBoundingClientRect();
          const spots = [0.05, 0.5, 0.95].flatMap((x) => [0.05, 0.5, 0.95].map((y) => [left + (right - left) * x, top + (bottom - top) * y] as const));
          return spots.some(([x, y]) => {
            const there = document.elementFromPoint(x, y);
            return there && (element.contains(there) || there.contains(element));
          });
        };
        // The page looks where it is 250 ms after it was scrolled; until then the jump to the end may lie over the end.
        const patience = performance.now() + 1_000;
        while (element.isConnected && !met() && performance.now() < patience) await new Promise(requestAnimationFrame);
        if (element.isConnected && !met()) wrong.push(`covered or out of sight: ${name}`);
        return wrong;
      })),
    );
  }
  // Some vanish when others have the focus, such as the jump to the end, at the end.
  const unmet = await page.evaluate(() =>
    [...(window as unknown as { unmet: Set<HTMLElement> }).unmet].filter((element) => element.isConnected).map((element) => element.outerHTML.slice(0, 90)),
  );
  return [...new Set(wrong), ...unmet.map((name) => `not reached: ${name}`)];
}

test('a keyboard gets to everything, and one sees where it is', async ({ natter, visitor, person, again, provokes }) => {
  await tour({ natter, visitor, person, again, provokes }, { reducedMotion: 'reduce' }, async (page, what) => {
    expect.soft(await walk(page), what).toEqual([]);
  });
});

test('forced colours: every control and every message has its edge, and the focus shows', async ({ natter, visitor, person, again, provokes }) => {
  await tour({ natter, visitor, person, again, provokes }, { forcedColors: 'active', reducedMotion: 'reduce' }, async (page, what) => {
    const without = await page.evaluate(() =>
      [...document.querySelectorAll('button, .button, input, textarea, .text, .note, .unread')]
        .filter((element) => element.checkVisibility({ visibilityProperty: true }))
        .filter((element) => {
          const style = getComputedStyle(element);
          const edge = style.borderTopStyle !== 'none' && parseFloat(style.borderTopWidth) >= 1;
          return !edge || style.borderTopColor === style.backgroundColor;
        })
        .map((element) => element.outerHTML.slice(0, 90)),
    );
    expect.soft(without, `${what}: no edge`).toEqual([]);
    expect.soft(await walk(page), what).toEqual([]);
  });
});

/** Returns what would not print as it should. Expects the page in print media. */
function misprinted(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const shown = (element: Element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
    const say = (why: string, element: Element) => `${why}: ${element.outerHTML.slice(0, 90)}`;
    const light = (colour: string) => {
      const [r, g, b, alpha = 1] = colour.match(/[\d.]+/g)!.map(Number) as [number, number, number, number?];
      return alpha === 0 ? 255 : 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const wrong = [...document.querySelectorAll('button, .button, textarea')].filter(shown).map((element) => say('a control', element));
    for (const element of [document.documentElement, ...document.body.querySelectorAll('*')].filter(shown)) {
      const style = getComputedStyle(element);
      if (element instanceof SVGElement || element.closest('.visually-hidden')) continue;
      if (light(style.backgroundColor) < 250) wrong.push(say(`not white but ${style.backgroundColor}`, element));
      const says = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.nodeValue!.trim());
      if (says && light(style.color) > 110) wrong.push(say(`not black but ${style.color}`, element));
    }
    // No message is cut off, and each has its writer.
    for (const row of document.querySelectorAll('.row')) {
      if (!shown(row) || !shown(row.querySelector('.text')!)) wrong.push(say('not printed', row));
      if (row.matches('.opens') && row.querySelector('.name')!.clientWidth < 2) wrong.push(say('nobody said it', row));
      for (let box = row.parentElement; box; box = box.parentElement) {
        if (getComputedStyle(box).overflowY !== 'visible' && box.scrollHeight > box.clientHeight + 1 && box !== document.documentElement && box !== document.body) {
          wrong.push(say('cut off', box));
        }
      }
    }
    return [...new Set(wrong)].slice(0, 10);
  });
}

test('print: what was said, black on white, and nothing to press, light and dark', async ({ natter, visitor, person, again, provokes }) => {
  await tour({ natter, visitor, person, again, provokes }, { reducedMotion: 'reduce' }, async (page, what) => {
    for (const colorScheme of SCHEMES) {
      await shown(page, { media: 'print', colorScheme });
      expect.soft(await misprinted(page), `${what}, ${colorScheme}`).toEqual([]);
    }
    await page.emulateMedia({ media: null });
  });
});

test('400 % zoom (320 x 256): nothing cut off, one direction to scroll, everything reached', async ({ natter, visitor, person, again, provokes }) => {
  const small = { viewport: { width: 320, height: 256 }, reducedMotion: 'reduce' } as const;
  await tour({ natter, visitor, person, again, provokes }, small, async (page, what) => {
    const wrong = await page.evaluate(() => {
      const wrong: string[] = [];
      for (const element of [document.documentElement, ...document.body.querySelectorAll<HTMLElement>('*')]) {
        if (!element.checkVisibility() || element.closest('.visually-hidden, #announcer, svg')) continue;
        const name = element.outerHTML.slice(0, 90);
        const { overflowX, overflowY, textOverflow } = getComputedStyle(element);
        const { left, right, width } = element.getBoundingClientRect();
        if (width > 1 && (left < -1 || right > innerWidth + 1)) wrong.push(`sticks out (${Math.round(left)} to ${Math.round(right)}): ${name}`);
        const scrolls = (overflow: string) => overflow === 'auto' || overflow === 'scroll' || element === document.documentElement;
        if (element.scrollWidth > element.clientWidth + 1 && element.clientWidth && overflowX !== 'visible' && !element.matches('input, textarea') && textOverflow !== 'ellipsis') wrong.push(`wider than it is: ${name}`);
        if (element.scrollHeight > element.clientHeight + 2 && element.clientHeight && !scrolls(overflowY) && overflowY === 'hidden' && textOverflow !== 'ellipsis') wrong.push(`higher than it is: ${name}`);
      }
      const room = document.querySelector('.messages')?.getBoundingClientRect();
      if (room?.height && Math.min(room.bottom, innerHeight) - room.top < 48) wrong.push('no room for the conversation');
      return [...new Set(wrong)].slice(0, 10);
    });
    expect.soft(wrong, what).toEqual([]);
    expect.soft(await walk(page), what).toEqual([]);
  });
});
