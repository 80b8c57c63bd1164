// The page says what state things are in: not by position or colour alone, and also to people who look elsewhere.

import type { Locator } from '@playwright/test';

import { connect, expect, test } from '../support/test';
import type { Chat } from '../pages/chat';
import { Line } from '../support/line';

const refuse = (line: Line) =>
  line.onSaid((frame) => {
    if (frame.type !== 'Message') return true;
    line.tell({ type: 'Refused', MessageID: frame.MessageID, Code: 'Unavailable', Reason: 'Not today.' });
    return false;
  });

const lose = (line: Line) => line.onSaid((frame) => frame.type !== 'Message');

/** Starts recording what the page's live region says. Returns a getter of it, in order. */
async function listen(chat: Chat): Promise<() => Promise<string[]>> {
  await chat.page.locator('#announcer').evaluate((announcer) => {
    const heard: string[] = [];
    (window as unknown as { heard: string[] }).heard = heard;
    new MutationObserver(() => announcer.textContent!.trim() && heard.push(announcer.textContent!.trim())).observe(announcer, {
      childList: true,
      characterData: true,
      subtree: true,
    });
  });
  return () => chat.page.evaluate(() => (window as unknown as { heard: string[] }).heard);
}

/** Returns what a screen reader finds there, without these words. */
const aloud = async (what: Locator, without: string) => (await what.ariaSnapshot()).replace(without, '');

test('each message says whose it is and what became of it', async ({ person }) => {
  const ada = await person('Ada');
  const ben = await person('Ben');
  await connect(ada, ben);
  const line = await Line.tap(ada);
  const heard = await listen(ada);
  for (const text of ['one of his', 'two of his']) await ben.send(text);
  for (const text of ['one of hers', 'two of hers']) await ada.send(text);
  for (const text of ['one of his', 'two of his']) expect(await aloud(ada.row(text), text)).toContain('Ben');
  for (const text of ['one of hers', 'two of hers']) {
    expect(await aloud(ada.row(text), text)).toContain('You');
    expect(await aloud(ada.row(text), text)).not.toMatch(/sent/i);
  }
  // Consecutive messages show the name once.
  const drawn = (await ada.rows.locator('.name').evaluateAll((names) => names.filter((name) => name.clientWidth > 1))).length;
  expect(drawn).toBe(1);

  lose(line);
  await ada.type('this waits');
  expect(await aloud(ada.row('this waits'), 'this waits')).toContain('Not sent yet');
  refuse(line);
  await ada.type('this fails');
  await expect(ada.row('this fails')).toHaveAttribute('data-state', 'failed');
  expect(await aloud(ada.row('this fails'), 'this fails')).toContain('Not today.');
  // Together with other news of the same second.
  await expect.poll(async () => (await heard()).join(' ')).toContain('Not sent to Ben: Not today.');
});

test('a refusal is said wherever its writer has gone meanwhile', async ({ person }) => {
  const ada = await person('Ada');
  const [ben, cleo] = [await person('Ben'), await person('Cleo')];
  await connect(ada, ben);
  await connect(ada, cleo);
  await ada.openConversation('Ben');
  const line = await Line.tap(ada);
  const heard = await listen(ada);
  let message: unknown;
  line.onSaid((frame) => {
    if (frame.type !== 'Message') return true;
    message = frame.MessageID;
    return false;
  });
  await ada.type('for Ben');
  await ada.openConversation('Cleo');
  line.tell({ type: 'Refused', MessageID: message, Code: 'Unavailable', Reason: 'Not today.' });
  await expect.poll(heard).toEqual(['Not sent to Ben: Not today.']);
  await expect(ada.entry('Ben')).toContainText('Not sent');
});

test('the list tells what was sent from what waits and what failed', async ({ person }) => {
  const ada = await person('Ada');
  const [ben, cleo] = [await person('Ben'), await person('Cleo')];
  await connect(ada, ben);
  await connect(ada, cleo);
  await ada.openConversation('Ben');
  const line = await Line.tap(ada);
  const words = ada.entry('Ben').locator('.line-text');
  await ada.send('this goes');
  await expect(words).toHaveText('You: this goes');
  lose(line);
  await ada.type('this waits');
  await ada.openConversation('Cleo');
  await expect(words).toHaveText('Sending: this waits');
  await ada.openConversation('Ben');
  refuse(line);
  await ada.type('this fails');
  await expect(ada.row('this fails')).toHaveAttribute('data-state', 'failed');
  await expect(words).toHaveText('Not sent: this fails');
  // It stays, whatever is written after it.
  lose(line);
  await ada.type('this waits too');
  await expect(words).toHaveText('Not sent: this fails');
  await ada.row('this fails').getByRole('button', { name: 'Delete' }).click();
  await expect(words).toHaveText('Sending: this waits too');
});

test('a title says where one is and what waits', async ({ person, visitor, provokes }) => {
  provokes(/status of 404/);
  const ada = await person('Ada');
  const [ben, cleo, dara] = [await person('Ben'), await person('Cleo'), await person('Dara')];
  const withBen = await connect(ada, ben);
  await connect(ada, cleo);
  await expect(ada.page).toHaveTitle('Cleo – Natter');
  await ada.openConversation('Ben');
  await expect(ada.page).toHaveTitle('Ben – Natter');
  await cleo.send('hello');
  await expect(ada.page).toHaveTitle('(1) Ben – Natter');
  const heard = await listen(ada);
  await dara.invite('Ada');
  await expect(ada.page).toHaveTitle('(2) Ben – Natter');
  await expect.poll(async () => (await heard()).join()).toContain('Dara wants to talk to you');
  // The server says the same, before the page hydrates.
  const drawn = await ada.page.request.get(`/chat/${withBen}`);
  expect(await drawn.text()).toContain('<title>(2) Ben – Natter</title>');
  await ada.page.goto('/no/such/page');
  await expect(ada.page).toHaveTitle('(2) There is nothing here – Natter');

  const page = await visitor();
  for (const [path, title] of Object.entries({ '/': 'Natter', '/login': 'Sign in – Natter', '/register': 'Create an account – Natter' })) {
    await page.goto(path);
    await expect(page).toHaveTitle(title);
  }
});

test('a phone that shows one conversation says that something waits elsewhere', async ({ person }) => {
  const ada = await person('Ada', { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  const [ben, cleo] = [await person('Ben'), await person('Cleo')];
  await connect(ben, ada);
  const back = ada.page.locator('.back');
  await expect(back).toHaveAccessibleName('All conversations');
  await cleo.invite('Ada');
  await expect(back).toHaveAccessibleName('All conversations, 1 new');
  await expect(back.locator('.back-mark')).toBeVisible();
});

test('presence, the open conversation and what is new show in forced colours', async ({ person }) => {
  const ada = await person('Ada');
  const [ben, cleo] = [await person('Ben'), await person('Cleo')];
  await connect(ada, ben);
  await connect(ada, cleo);
  await ada.page.emulateMedia({ forcedColors: 'active', reducedMotion: 'reduce' });
  const entry = ada.entry('Cleo');
  await expect(ada.presence('Cleo')).toHaveAttribute('data-status', 'Online');
  const look = async (what: Locator) => (await what.screenshot({ animations: 'disabled' })).toString('base64');
  const set = (what: Locator, name: string, value: string | null) =>
    what.evaluate((element, [name, value]) => (value === null ? element.removeAttribute(name!) : element.setAttribute(name!, value)), [name, value] as const);
  const online = await look(ada.presence('Cleo'));
  await set(ada.presence('Cleo'), 'data-status', 'Offline');
  expect(await look(ada.presence('Cleo')), 'here or away').not.toBe(online);
  const open = await look(entry);
  await set(entry, 'aria-current', null);
  expect(await look(entry), 'the one that is open').not.toBe(open);
});
