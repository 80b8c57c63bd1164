// Reading: older messages, new ones while reading, and the bottom of the list.

import type { Chat } from '../pages/chat';
import { Cable } from '../support/cable';
import { Line } from '../support/line';
import { connect, expect, test } from '../support/test';

/** Returns the pixels between the visible part and the end of the list. */
function bottomGap(chat: Chat): Promise<number> {
  return chat.history.evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight);
}

/** Scrolls with the wheel, as a person would, and waits until it stops. */
async function wheel(chat: Chat, pixels: number): Promise<void> {
  // Hovers what is in view as it is: Playwright would first scroll to the middle of a long list.
  await chat.history.hover();
  await chat.page.mouse.wheel(0, pixels);
  await chat.history.evaluate(
    (box) =>
      new Promise<void>((rests) => {
        let [place, frames] = [box.scrollTop, 0];
        const look = () => {
          frames = box.scrollTop === place ? frames + 1 : 0;
          place = box.scrollTop;
          if (frames < 6) requestAnimationFrame(look);
          else rests();
        };
        requestAnimationFrame(look);
      }),
  );
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

  // Watches every prepend from inside: how far did it move the row at the top of the screen?
  await ada.messages.evaluate((list) => {
    let anchor: { row: Element; top: number } | undefined;
    const note = () => {
      const edge = 130;
      const row = [...list.querySelectorAll('li[data-mid]')].find((row) => row.getBoundingClientRect().top >= edge);
      anchor = row && { row, top: row.getBoundingClientRect().top };
      requestAnimationFrame(note);
    };
    requestAnimationFrame(note);
    const page = window as unknown as { prepends: number; moves: number[] };
    page.prepends = 0;
    page.moves = [];
    let first = list.querySelector('li[data-mid]')?.getAttribute('data-mid');
    new MutationObserver(() => {
      const now = list.querySelector('li[data-mid]')?.getAttribute('data-mid');
      if (now === first) return;
      first = now;
      const before = anchor;
      page.prepends += 1;
      // Measured once painted: a frame runs animation callbacks first, then layout, then resize observers, then paints.
      requestAnimationFrame(() =>
        requestAnimationFrame(() => {
          const moved = before?.row.isConnected ? before.row.getBoundingClientRect().top - before.top : 9_999;
          page.moves.push(Math.abs(moved));
        }),
      );
    }).observe(list, { childList: true });
  });

  const watched = () =>
    ada.page.evaluate(() => {
      const { prepends, moves } = window as unknown as { prepends: number; moves: number[] };
      return { prepends, moves };
    });
  await expect(async () => {
    const { prepends, moves } = await watched();
    if (prepends === moves.length) await wheel(ada, -600);
    expect(await ada.row('message 1').count()).toBe(1);
  }).toPass({ intervals: [50], timeout: 60_000 });
  // 50 rows at first, and 50 more each time.
  await expect.poll(async () => (await watched()).moves.length).toBe(4);
  // The wheel moves rows by 600 px at most; an uncompensated prepend moves them by thousands.
  const { moves } = await watched();
  expect(Math.max(...moves), `moved by ${moves}`).toBeLessThanOrEqual(700);
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

  // Ada's own message always shows.
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
  await line.unplug();
  await ada.type('written without a connection');
  await ada.composer.fill('a draft');
  await ben.flood(session, numbered(1, 1000));

  // Watches from inside which numbers are drawn, and whether any are missing in between.
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
  await line.back(ada);
  await expect(ada.row('message 1000')).toBeInViewport();
  await expect(ada.row('message 1')).toHaveCount(0);
  await expect(ada.row('written without a connection')).toHaveAttribute('data-state', 'sent');
  await expect(ada.composer).toHaveValue('a draft');
  const fetched = line.heard.filter((frame) => frame.type === 'Page').length;
  expect(fetched, 'what was missed is not fetched page by page').toBeLessThanOrEqual(1);

  await expect(async () => {
    await wheel(ada, -3000);
    expect(await ada.row('before').count()).toBe(1);
  }).toPass({ intervals: [50], timeout: 120_000 });
  const { seen, holes } = await ada.page.evaluate(() => {
    const { seen, holes } = window as unknown as { seen: Set<number>; holes: string[] };
    return { seen: seen.size, holes };
  });
  expect(holes).toEqual([]);
  expect(seen).toBe(1000);
});

test('how long a page a thousand messages behind takes to show the newest', async ({ natter, person, provokes }) => {
  provokes(/WebSocket connection to .* failed|Failed to load resource: net::ERR_/);
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
