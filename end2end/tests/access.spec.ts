// Accessibility: keyboard only, screen readers, small screens. What holds on every page is in everywhere.spec.ts.

import type { Locator, Page } from '@playwright/test';

import { PASSWORD, connect, expect, hydrated, register, test } from '../support/test';
import { Line } from '../support/line';

/** Checks that nothing sticks out at the side, so that nobody has to scroll sideways to read. */
async function fits(page: Page, what: string): Promise<void> {
  const { scroll, client } = await page.evaluate(() => ({
    scroll: document.documentElement.scrollWidth,
    client: document.documentElement.clientWidth,
  }));
  expect(scroll, what).toBeLessThanOrEqual(client);
}

/** Checks that there are this many fields, all with text large enough that phones do not zoom in. */
async function readable(page: Page, fields: number, what: string): Promise<void> {
  const sizes = await page
    .locator('input, textarea')
    .filter({ visible: true })
    .evaluateAll((fields) => fields.map((field) => parseFloat(getComputedStyle(field).fontSize)));
  expect(sizes, what).toHaveLength(fields);
  for (const size of sizes) expect(size, what).toBeGreaterThanOrEqual(16);
}

/** Counts what moves on a page or takes time to change. */
function moving(page: Page): Promise<number> {
  return page.evaluate(() => {
    const styles = [...document.querySelectorAll('*')].flatMap((element) =>
      [null, '::before', '::after'].map((part) => getComputedStyle(element, part)),
    );
    return styles.filter(({ animationName, animationDuration, animationIterationCount, transitionDuration }) => {
      const longest = (durations: string) => Math.max(...durations.split(',').map(parseFloat));
      const moves = longest(animationDuration) > 0.01 || animationIterationCount.includes('infinite');
      return (animationName !== 'none' && moves) || longest(transitionDuration) > 0.01;
    }).length;
  });
}

test('320 px are enough for every page', async ({ person, visitor, provokes }) => {
  provokes(/the server responded with a status of 404/);
  const small = { viewport: { width: 320, height: 568 }, hasTouch: true, isMobile: true };
  const page = await visitor(small);
  const paths = { '/': 0, '/login?Error=WrongPassword&Username=Ada': 2, '/register?Error=NameTaken&Username=Ada': 2, '/no/such/page': 0 };
  for (const [path, fields] of Object.entries(paths)) {
    await page.goto(path);
    await hydrated(page);
    await fits(page, path);
    await readable(page, fields, path);
  }

  const name = 'Wolfeschlegelsteinhausenbergerdo';
  const ada = await person('Ada', small);
  await fits(ada.page, 'the chat, empty');
  await readable(ada.page, 1, 'the chat, empty');
  const other = await person(name);
  await other.invite('Ada');
  await expect(ada.card(name)).toBeVisible();
  await fits(ada.page, 'an invitation');
  await ada.accept(name);
  await fits(ada.page, 'a conversation, empty');
  await readable(ada.page, 1, 'a conversation');
  await ada.composer.fill(`${'x'.repeat(300)} https://chat.example.org/${'long/'.repeat(40)}`);
  await fits(ada.page, 'a long draft');
  await ada.sendButton.tap();
  await expect(ada.rows).toHaveAttribute('data-state', 'sent');
  await fits(ada.page, 'a long word');
  await expect(ada.sendButton).toBeInViewport({ ratio: 1 });
  await expect(ada.composer).toBeInViewport({ ratio: 1 });
  await ada.page.goto('/');
  await hydrated(ada.page);
  await fits(ada.page, 'the list');
  await expect(ada.entry(name)).toBeVisible();
});

for (const viewport of [{ width: 640, height: 180 }, { width: 320, height: 256 }]) {
  test(`a low window (${viewport.width} x ${viewport.height}) has room for a long draft and for what was said`, async ({ person }) => {
    const ada = await person('Ada', { viewport: { width: viewport.width, height: 640 }, hasTouch: true, isMobile: true });
    const ben = await person('Ben');
    await connect(ben, ada);
    for (let index = 0; index < 6; index++) await ben.send(`words of Ben, ${index}`);
    await ada.page.setViewportSize(viewport);
    await ada.composer.fill(Array.from({ length: 8 }, (_, index) => `line ${index}`).join('\n'));
    await expect(ada.sendButton).toBeInViewport({ ratio: 1 });
    await expect(ada.composer).toBeInViewport({ ratio: 1 });
    await expect.poll(async () => (await ada.history.boundingBox())!.height).toBeGreaterThanOrEqual(viewport.height / 4);
    await expect(ada.row('words of Ben, 5')).toBeInViewport();
    // What covers it can be dismissed.
    const line = await Line.tap(ada);
    await line.unplug();
    await expect(ada.connectionLost).toBeVisible({ timeout: 20_000 });
    await ada.connectionLost.getByRole('button', { name: 'Dismiss' }).click();
    await expect(ada.connectionLost).toBeHidden();
    line.plug();
    await ada.sendButton.click();
    await expect(ben.rows).toHaveCount(7, { timeout: 30_000 });
    await line.unplug();
    await expect(ada.connectionLost, 'the next time it says so again').toBeVisible({ timeout: 60_000 });
  });
}

test('a keyboard alone gets from the login to a sent message', async ({ natter, person, visitor }) => {
  const ben = await person('Ben');
  await register(natter.url, 'Ada');
  const page = await visitor();
  const keys = page.keyboard;

  /** Tabs until something has the focus, and checks that the focus is visible. */
  async function tabTo(what: Locator): Promise<void> {
    for (let step = 0; step < 40; step++) {
      if (await what.evaluate((element) => element === document.activeElement)) {
        const visible = await what.evaluate((element) => {
          const style = getComputedStyle(element);
          return element.matches(':focus-visible') && (style.outlineStyle !== 'none' || style.boxShadow !== 'none');
        });
        expect(visible, `the focus shows on ${what}`).toBe(true);
        return;
      }
      await keys.press('Tab');
    }
    throw new Error(`40 tabs do not reach ${what}`);
  }

  await page.goto('/login');
  await hydrated(page);
  await tabTo(page.getByLabel('Name'));
  await keys.type('Ada');
  await tabTo(page.getByLabel('Password'));
  await keys.type(PASSWORD);
  await keys.press('Enter');
  await expect(page.getByRole('navigation', { name: 'Conversations' })).toBeVisible();
  await hydrated(page);

  await tabTo(page.getByRole('search').getByRole('textbox', { name: 'Search' }));
  await keys.type('Ben');
  await keys.press('Enter');
  await expect(ben.card('Ada')).toBeVisible();
  await ben.accept('Ada');
  await tabTo(page.locator('a[data-session]').filter({ hasText: 'Ben' }));
  await keys.press('Enter');
  await expect(page.getByRole('textbox', { name: 'Message', exact: true })).toBeVisible();
  await tabTo(page.getByRole('textbox', { name: 'Message', exact: true }));
  await keys.type('no mouse was used');
  await keys.press('Enter');
  await expect(ben.row('no mouse was used')).toBeVisible();
});

test('a screen reader hears each new message once, and nothing else', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  const session = await connect(ada, ben);
  await ada.reload();
  const announcer = ada.page.locator('#announcer');
  await expect(announcer).toHaveAttribute('aria-live', 'polite');
  await expect(ada.page.locator('[aria-live=polite]')).toHaveCount(1);
  await expect(announcer).toBeEmpty();
  await announcer.evaluate((announcer) => {
    const heard: string[] = [];
    (window as unknown as { heard: string[] }).heard = heard;
    let last = '';
    new MutationObserver(() => {
      const text = announcer.textContent!.trim();
      if (text && text !== last) heard.push(text);
      last = text;
    }).observe(announcer, { childList: true, characterData: true, subtree: true });
  });
  const heard = () => ada.page.evaluate(() => (window as unknown as { heard: string[] }).heard);

  await ada.send('my own');
  await ben.composer.pressSequentially('hel');
  await expect(ada.typing).toBeVisible();
  await ben.composer.fill('');
  await ben.send('hello');
  await expect.poll(heard).toEqual(['Ben: hello']);
  const began = Date.now();
  await ben.flood(session, Array.from({ length: 10 }, (_, index) => `burst ${index + 1}`));
  await expect(ada.row('burst 10')).toBeVisible();
  const seconds = (Date.now() - began) / 1_000;
  const burst = async () => (await heard()).slice(1);
  const told = (words: string) => Number(/^(\d+) new messages$/.exec(words)?.[1] ?? 1);
  await expect.poll(async () => (await burst()).map(told).reduce((sum, count) => sum + count, 0)).toBe(10);
  // What arrives within a second is announced together.
  const words = await burst();
  expect(words.length, `a burst is not read out one by one: ${words}`).toBeLessThanOrEqual(2 + Math.floor(seconds));
});

test('motion is reduced for those who ask for it', async ({ visitor, person }) => {
  const page = await visitor({ reducedMotion: 'reduce' });
  await page.goto('/');
  await hydrated(page);
  expect(await moving(page), 'the welcome').toBe(0);

  const ada = await person('Ada', { reducedMotion: 'reduce' });
  const ben = await person('Ben');
  await connect(ada, ben);
  const line = await Line.tap(ada);
  await ben.composer.pressSequentially('hm');
  await expect(ada.typing).toBeVisible();
  expect(await moving(ada.page), 'somebody types').toBe(0);
  await ada.page.emulateMedia({ reducedMotion: 'no-preference' });
  expect(await moving(ada.page), 'for everybody else').toBeGreaterThan(0);
  await ada.page.emulateMedia({ reducedMotion: 'reduce' });
  await line.unplug();
  await ada.type('this waits');
  await expect(ada.row('this waits')).toHaveAttribute('data-state', 'pending');
  await expect(ada.connectionLost).toBeVisible({ timeout: 20_000 });
  expect(await moving(ada.page), 'the connection is lost').toBe(0);
});

test('signing in on two machines works at the same time', async ({ person, again }) => {
  const ada = await person('Ada');
  const phone = await again('Ada', { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  const ben = await person('Ben');
  await connect(ben, ada);
  await phone.openConversation('Ben');
  await phone.composer.fill('from the phone');
  // On a touch screen Enter breaks the line; the button sends.
  await phone.composer.press('Enter');
  await expect(phone.rows).toHaveCount(0);
  await phone.composer.fill('from the phone');
  await phone.sendButton.tap();
  await expect(ben.row('from the phone')).toBeVisible();
  await expect(ada.row('from the phone')).toBeVisible();
  await ben.send('to both');
  await expect(phone.row('to both')).toBeVisible();
});
