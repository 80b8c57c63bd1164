// A message is read once it was seen: drawn, in view, in a window with focus. What arrives meanwhile gets a mark.

import type { BrowserContext } from '@playwright/test';

import type { Chat } from '../pages/chat';
import { Line } from '../support/line';
import { connect, expect, test } from '../support/test';

interface Away {
  leave: (how: 'hidden' | 'blurred') => void;
  comeBack: () => void;
}

/** Lets a test look away: headless pages always have the focus. */
async function canLookAway(context: BrowserContext): Promise<void> {
  await context.addInitScript(() => {
    let [hidden, focused] = [false, true];
    Object.defineProperty(document, 'hidden', { get: () => hidden });
    Object.defineProperty(document, 'visibilityState', { get: () => (hidden ? 'hidden' : 'visible') });
    document.hasFocus = () => focused;
    const say = (focus: string) => {
      document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
      window.dispatchEvent(new Event(focus));
    };
    const page = window as unknown as Away;
    page.leave = (how) => {
      [hidden, focused] = [how === 'hidden', false];
      say('blur');
    };
    page.comeBack = () => {
      [hidden, focused] = [false, true];
      say('focus');
    };
  });
}

const leave = (chat: Chat, how: 'hidden' | 'blurred') =>
  chat.page.evaluate((how) => (window as unknown as Away).leave(how), how);
const comeBack = (chat: Chat) => chat.page.evaluate(() => (window as unknown as Away).comeBack());

const mark = (chat: Chat) => chat.messages.locator('.unread-mark');

function numbered(what: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${what} ${index + 1}`);
}

test('what was said while one\'s own message waited for a connection is new', async ({ person }) => {
  const [ada, ben, cleo] = [await person('Ada'), await person('Ben'), await person('Cleo')];
  await connect(ada, cleo);
  await connect(ada, ben);
  const line = await Line.tap(ada);
  await line.unplug();
  await ada.type('on my way');
  await ada.openConversation('Cleo');
  for (const text of ['one', 'two', 'three']) await ben.send(text);
  await line.back(ada);
  await expect(ben.row('on my way')).toBeVisible();
  await expect(ada.unread('Ben')).toHaveText(/\b3\b/);
  await ada.reload();
  await expect(ada.unread('Ben')).toHaveText(/\b3\b/);
  await ada.openConversation('Ben');
  await expect(mark(ada)).toBeVisible();
  expect((await ada.texts()).slice(-4)).toEqual(['one', 'two', 'three', 'on my way']);
  await expect(ada.unread('Ben')).toBeHidden();
});

for (const how of ['hidden', 'blurred'] as const) {
  test(`what comes while nobody looks (${how}) gets the mark, and is read when it is seen`, async ({ person, again }) => {
    const [ada, ben] = [await person('Ada'), await person('Ben')];
    const session = await connect(ada, ben);
    await canLookAway(ada.page.context());
    await ada.reload();
    const adaToo = await again('Ada');
    await ben.send('before');
    await expect(ada.row('before')).toBeVisible();
    await expect(adaToo.unread('Ben')).toBeHidden();
    await leave(ada, how);
    await ben.flood(session, numbered('news', 40));
    await expect(ada.row('news 40')).toBeAttached();
    await expect(ada.unread('Ben')).toHaveText(/\b40\b/);
    await comeBack(ada);
    await expect(mark(ada)).toHaveCount(1);
    await expect(ada.row('news 1'), 'the view waits where they begin').toBeInViewport();
    await expect(ada.row('news 40')).not.toBeInViewport();
    await expect(ada.page.getByRole('button', { name: /new messages/ })).toBeVisible();
    // She sees some of them now, and only these are read: here and on her other device.
    await expect(ada.unread('Ben')).not.toHaveText(/\b40\b/);
    await expect(ada.unread('Ben')).toBeVisible();
    await expect(adaToo.unread('Ben')).toBeVisible();
    await ada.jump.click();
    await expect(ada.row('news 40')).toBeInViewport();
    await expect(ada.unread('Ben')).toBeHidden();
    await expect(adaToo.unread('Ben')).toBeHidden();
    await expect(mark(ada), 'it stays for this visit').toHaveCount(1);

    // The next absence gets its own mark.
    await leave(ada, how);
    await ben.send('once more');
    await expect(ada.row('once more')).toBeVisible();
    await comeBack(ada);
    await expect(ada.messages.locator('.unread-mark + li .text')).toHaveText('once more');
    await expect(ada.unread('Ben')).toBeHidden();
  });
}

test('what comes before one\'s eyes gets no mark, and what comes below them does', async ({ person }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  const session = await connect(ada, ben);
  await ben.flood(session, numbered('message', 40));
  await expect(ada.row('message 40')).toBeInViewport();
  await expect(ada.unread('Ben')).toBeHidden();
  await expect(mark(ada)).toHaveCount(0);
  await ada.history.evaluate((box) => (box.scrollTop = 0));
  await expect(ada.jump).toBeVisible();
  await ben.send('below');
  await expect(ada.messages.locator('.unread-mark + li .text')).toHaveText('below');
  await expect(ada.unread('Ben')).toHaveText(/\b1\b/);
});

test('what is known and not drawn yet is not read, whatever is resized meanwhile', async ({ person, again }) => {
  const [ada, ben] = [await person('Ada'), await person('Ben')];
  await connect(ada, ben);
  await ben.send('before');
  await expect(ada.row('before')).toBeVisible();
  const line = await Line.tap(ada);
  await line.unplug();
  await ben.send('meanwhile');
  // The Welcome announces one more; the page that brings it does not arrive.
  line.onHeard((frame) => frame.type !== 'Page');
  await line.back(ada);
  await expect(ada.unread('Ben')).toHaveText(/\b1\b/);
  await ada.page.setViewportSize({ width: 1000, height: 500 });
  await ada.composer.fill('1\n2\n3\n4');
  await expect(ada.row('meanwhile')).toHaveCount(0);
  const adaToo = await again('Ada');
  await expect(adaToo.unread('Ben')).toHaveText(/\b1\b/);
  // That "before" was read may be reported again.
  expect(line.said.filter(({ type, Seq }) => type === 'Read' && Number(Seq) > 1)).toEqual([]);
  line.onHeard(() => true);
  await line.cut();
  await expect(ada.row('meanwhile')).toBeInViewport();
  await expect(adaToo.unread('Ben')).toBeHidden();
});

test('coming back to a conversation, one finds the place where one was', async ({ person }) => {
  const [ada, ben, cleo] = [await person('Ada'), await person('Ben'), await person('Cleo')];
  await connect(ada, cleo);
  const session = await connect(ada, ben);
  await ben.flood(session, numbered('message', 120));
  await expect(ada.row('message 120')).toBeInViewport();
  await ada.history.hover();
  // Far enough to load older rows.
  await expect(async () => {
    await ada.page.mouse.wheel(0, -1500);
    await expect(ada.row('message 40')).toBeInViewport({ timeout: 300 });
  }).toPass();
  await ada.row('message 40').evaluate((row) => row.scrollIntoView({ block: 'center' }));
  await expect(ada.jump).toBeVisible();
  const place = async () => (await ada.row('message 40').boundingBox())!.y;
  let before = await place();
  await expect(async () => {
    const was = before;
    before = await place();
    expect(before, 'the wheel has come to rest').toBe(was);
  }).toPass({ intervals: [300] });
  await ada.openConversation('Cleo');
  await ben.send('meanwhile');
  await expect(ada.unread('Ben')).toHaveText(/\b1\b/);
  await ada.openConversation('Ben');
  await expect(ada.row('message 40')).toBeInViewport();
  await expect.poll(async () => Math.abs((await place()) - before)).toBeLessThanOrEqual(2);
  await expect(ada.unread('Ben'), 'what is below is not read').toHaveText(/\b1\b/);
  await ada.page.goBack();
  await ada.page.goForward();
  await expect.poll(async () => Math.abs((await place()) - before)).toBeLessThanOrEqual(2);
  // A reader who left at the end comes back to the end, or to where the news begins.
  await ada.jump.click();
  await expect(ada.row('meanwhile')).toBeInViewport();
  await ada.openConversation('Cleo');
  await ada.openConversation('Ben');
  await expect(ada.row('meanwhile')).toBeInViewport();
  await expect(ada.jump).toBeHidden();
});
