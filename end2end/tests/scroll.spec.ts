// Reading: older messages, new ones while reading, and the bottom of the list.

import type { Chat } from '../pages/chat';
import { Cable } from '../support/cable';
import { Line } from '../support/line';
import { connect, expect, test } from '../support/test';

/** Pixels between what is seen and the end of the list. */
function bottomGap(chat: Chat): Promise<number> {
  return chat.messages.evaluate((list) => {
    const box = scroller(list);
    return box.scrollHeight - box.scrollTop - box.clientHeight;

    function scroller(element: Element): Element {
      for (let at: Element | null = element; at; at = at.parentElement) {
        if (/auto|scroll/.test(getComputedStyle(at).overflowY)) return at;
      }
      return document.scrollingElement!;
    }
  });
}

/** Scrolls with the wheel, as a person would. */
async function wheel(chat: Chat, pixels: number): Promise<void> {
  await chat.messages.hover({ position: { x: 40, y: 40 }, force: true });
  await chat.page.mouse.wheel(0, pixels);
}

function numbered(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => `message ${from + index}`);
}

test('older messages load on scrolling up, and what is being read stays where it is', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  const session = await connect(ada, ben);
  await ada.flood(session, numbered(1, 230));
  await ada.reload();
  await expect(ada.row('message 230')).toBeInViewport();
  await expect.poll(() => bottomGap(ada)).toBeLessThanOrEqual(2);
  await expect(ada.row('message 1')).toHaveCount(0);

  // Watches every prepend from inside: how far did the row that was on top of the screen move by it?
  await ada.messages.evaluate((list) => {
    let anchor: { row: Element; top: number } | undefined;
    const note = () => {
      const edge = 130;
      const row = [...list.querySelectorAll('li[data-mid]')].find((row) => row.getBoundingClientRect().top >= edge);
      anchor = row && { row, top: row.getBoundingClientRect().top };
      requestAnimationFrame(note);
    };
    requestAnimationFrame(note);
    document.body.dataset.jump = '0';
    document.body.dataset.prepends = '0';
    let first = list.querySelector('li[data-mid]')?.getAttribute('data-mid');
    new MutationObserver(() => {
      const now = list.querySelector('li[data-mid]')?.getAttribute('data-mid');
      if (now === first || !anchor) return;
      first = now;
      const before = anchor;
      document.body.dataset.prepends = String(Number(document.body.dataset.prepends) + 1);
      // Measured once painted: a frame calls for animation first, lays out, then tells observers of sizes, then paints.
      requestAnimationFrame(() =>
        requestAnimationFrame(() => {
          const moved = before.row.isConnected ? Math.abs(before.row.getBoundingClientRect().top - before.top) : 999;
          document.body.dataset.jump = String(Math.max(Number(document.body.dataset.jump), moved));
        }),
      );
    }).observe(list, { childList: true });
  });

  await expect(async () => {
    await wheel(ada, -600);
    await expect(ada.row('message 1')).toHaveCount(1, { timeout: 150 });
  }).toPass({ timeout: 30_000 });
  expect(Number(await ada.page.locator('body').getAttribute('data-prepends'))).toBeGreaterThanOrEqual(1);
  // The wheel itself moves rows by 600 px at most; a prepend that is not made up for moves them by thousands.
  expect(Number(await ada.page.locator('body').getAttribute('data-jump'))).toBeLessThanOrEqual(700);
  expect(await ada.texts()).toEqual(numbered(1, 230));
});

test('the list stays put while one reads above, and one button leads back down', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  const session = await connect(ada, ben);
  await ben.flood(session, numbered(1, 40));
  await expect(ada.row('message 40')).toBeInViewport();
  await expect(ada.jump).toBeHidden();

  await expect(async () => {
    await wheel(ada, -400);
    expect(await bottomGap(ada)).toBeGreaterThan(300);
  }).toPass();
  await expect(ada.page.getByRole('button', { name: 'Jump to latest' })).toBeVisible();
  const before = await bottomGap(ada);
  const anchor = (await ada.rows.evaluateAll((rows) =>
    rows.find((row) => row.getBoundingClientRect().top > 150)!.getAttribute('data-mid'),
  ))!;
  const place = async () => (await ada.messages.locator(`li[data-mid="${anchor}"]`).boundingBox())!.y;
  const y = await place();
  for (const text of ['new 1', 'new 2', 'new 3']) await ben.send(text);
  await expect(ada.page.getByRole('button', { name: /3 new messages/ })).toBeVisible();
  expect(Math.abs((await place()) - y)).toBeLessThanOrEqual(1);
  expect(await bottomGap(ada)).toBeGreaterThan(before);

  await ada.jump.click();
  await expect(ada.row('new 3')).toBeInViewport();
  await expect.poll(() => bottomGap(ada)).toBeLessThanOrEqual(2);
  await expect(ada.jump).toBeHidden();

  // What one sends oneself always shows.
  await expect(async () => {
    await wheel(ada, -400);
    expect(await bottomGap(ada)).toBeGreaterThan(300);
  }).toPass();
  await ada.send('my own');
  await expect(ada.row('my own')).toBeInViewport();
  await expect.poll(() => bottomGap(ada)).toBeLessThanOrEqual(2);
});

test('at the bottom, the list follows: new messages, a growing composer, a smaller window', async ({ person }) => {
  const ada = await person('Ada', { viewport: { width: 1000, height: 800 } });
  const ben = await person('Ben');
  const session = await connect(ada, ben);
  await ben.flood(session, numbered(1, 60));
  const atBottom = () => expect.poll(() => bottomGap(ada)).toBeLessThanOrEqual(2);
  await expect(ada.row('message 60')).toBeInViewport();
  await atBottom();
  await ada.composer.fill('1\n2\n3\n4\n5\n6');
  await atBottom();
  await ada.page.setViewportSize({ width: 1000, height: 500 });
  await atBottom();
  await expect(ada.row('message 60')).toBeInViewport();
  await ben.send('one more');
  await expect(ada.row('one more')).toBeInViewport();
  await atBottom();
});

test('a page a thousand messages behind shows the newest at once, and the rest on scrolling', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  const session = await connect(ada, ben);
  await ada.send('before');
  const line = await Line.tap(ada);
  await expect.poll(() => line.heard.some((frame) => frame.type === 'Welcome')).toBe(true);
  await line.unplug();
  await ada.type('written without a connection');
  await ada.composer.fill('a draft');
  await ben.flood(session, numbered(1, 1000));

  // Watches from inside which numbers are drawn, and whether any is missing between them.
  await ada.messages.evaluate((list) => {
    const page = window as unknown as { seen: Set<number>; holes: string[] };
    page.seen = new Set();
    page.holes = [];
    new MutationObserver(() => {
      const texts = [...list.querySelectorAll('li[data-mid] .text')].map((text) => text.textContent ?? '');
      const numbers = texts.flatMap((text) => /^message (\d+)$/.exec(text)?.[1] ?? []).map(Number);
      numbers.forEach((number, at) => {
        page.seen.add(number);
        if (at > 0 && number !== numbers[at - 1]! + 1) page.holes.push(`${numbers[at - 1]} ${number}`);
      });
    }).observe(list, { childList: true, subtree: true });
  });
  line.plug();
  await ada.page.evaluate(() => window.dispatchEvent(new Event('online')));
  await expect(ada.row('message 1000')).toBeInViewport();
  await expect(ada.row('message 1')).toHaveCount(0);
  await expect(ada.row('written without a connection')).toHaveAttribute('data-state', 'sent');
  await expect(ada.composer).toHaveValue('a draft');
  const fetched = line.heard.filter((frame) => frame.type === 'Page').length;
  expect(fetched, 'what was missed is not fetched page by page').toBeLessThanOrEqual(1);

  await expect(async () => {
    await wheel(ada, -3000);
    await expect(ada.row('before')).toHaveCount(1, { timeout: 150 });
  }).toPass({ timeout: 60_000 });
  const { seen, holes } = await ada.page.evaluate(() => {
    const { seen, holes } = window as unknown as { seen: Set<number>; holes: string[] };
    return { seen: seen.size, holes };
  });
  expect(holes).toEqual([]);
  expect(seen).toBe(1000);
});

test('how long a page a thousand messages behind takes to show the newest', async ({ natter, person, provokes }) => {
  provokes(/WebSocket connection to .* failed|ERR_CONNECTION_RE(SET|FUSED)|ERR_EMPTY_RESPONSE/);
  const ada = await person('Ada');
  const ben = await person('Ben');
  const session = await connect(ada, ben);
  const cable = await Cable.to(natter);
  await ada.open(`${cable.url}/chat/${session}`);
  await ada.send('over a cable');
  cable.pull();
  await ben.flood(session, numbered(1, 1000));
  await expect(ada.connectionLost).toBeVisible({ timeout: 20_000 });

  await ada.messages.evaluate((list) => {
    const page = window as unknown as { newest?: number };
    new MutationObserver(() => {
      const texts = list.querySelectorAll('li[data-mid] .text');
      if (texts[texts.length - 1]?.textContent === 'message 1000') page.newest ??= performance.now();
    }).observe(list, { childList: true, subtree: true });
  });
  cable.plug();
  const began = await ada.page.evaluate(() => {
    window.dispatchEvent(new Event('online'));
    return performance.now();
  });
  await expect(ada.row('message 1000')).toBeInViewport();
  const newest = await ada.page.evaluate(() => (window as unknown as { newest: number }).newest);
  console.log(`back online and 1,000 messages behind: the newest shown after ${Math.round(newest - began)} ms`);
  cable.remove();
});
